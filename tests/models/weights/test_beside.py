"""What lies beside the tensors is passed over, without its libraries and without a call; code is not."""

import argparse
import collections
import datetime
import decimal
import fractions
import functools
import pathlib
import sys
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.weights.beside import STAND_INS
from models.weights.read import read_state
from pipeline.base.errors import ZoetropeError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3)}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "beside",
    [
        np.float64(76.1),
        np.float32(76.1),
        np.int64(3),
        np.bool_(True),
        np.arange(3),
        np.array(["a", "b"]),
        np.array([None, 1], dtype=object),
        np.zeros(2, dtype=[("a", "f4")]),
        np.dtype("f4"),
        np.float32,
        np.random.RandomState(0).get_state(),
        argparse.Namespace(lr=0.1, root=Path("data")),
        types.SimpleNamespace(lr=0.1),
        collections.defaultdict(list, {"loss": [1.0]}),
        collections.deque([1.0, 2.0], 10),
        pathlib.PurePosixPath("a/b"),
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
        datetime.timedelta(1),
        decimal.Decimal("0.1"),
        fractions.Fraction(1, 3),
        uuid.UUID(int=1),
        frozenset([1]),
        range(3),
        torch.__version__,
        torch.device("cpu"),
        torch.Size([2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_is_passed_over(tmp_path: Path, beside: Any, legacy: bool) -> None:
    torch.save({"best": beside, "state_dict": STATE}, tmp_path / "w", _use_new_zipfile_serialization=not legacy)
    assert torch.equal(read_state(tmp_path / "w")["a.weight"], STATE["a.weight"])


def test_numpy_1_has_other_names(tmp_path: Path) -> None:
    torch.save({"best": np.arange(3), "state_dict": STATE}, tmp_path / "w", _use_new_zipfile_serialization=False)
    data = (tmp_path / "w").read_bytes()
    names = [name for name in (b"numpy._core.", b"numpy.core.") if name in data]
    assert len(names) == 1
    for name in (b"numpy._core.", b"numpy.core."):
        (tmp_path / "w").write_bytes(data.replace(names[0], name))
        assert list(read_state(tmp_path / "w")) == ["a.weight"]


def test_libraries_of_configurations_need_not_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors in their dictionaries are found, too."""
    kind = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        patch.setitem(sys.modules, "yacs.config", types.ModuleType("yacs.config"))
        patch.setattr(sys.modules["yacs.config"], "CfgNode", kind, raising=False)
        config = kind(lr=0.1)
        config.frozen = True
        torch.save({"cfg": config, "state_dict": kind(STATE)}, tmp_path / "w")
    assert list(read_state(tmp_path / "w")) == ["a.weight"]
    assert "yacs" not in sys.modules


def test_stand_ins_forget_what_they_are_given() -> None:
    made = [stand_in(10**12, ["x"]) for stand_in, _ in STAND_INS]
    assert all(not vars(value) for value in made if hasattr(value, "__dict__"))
    assert all(not value for value in made if isinstance(value, dict | list))


def test_the_list_is_of_torchs_own_only_while_a_file_is_read(tmp_path: Path) -> None:
    torch.save({"best": np.float64(1), "state_dict": STATE}, tmp_path / "w")
    read_state(tmp_path / "w")
    assert not set(torch.serialization.get_safe_globals()) & set(STAND_INS)


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "compile", "open", "map", "type"])
def test_what_runs_is_not_on_the_list(name: str) -> None:
    assert f"builtins.{name}" not in {known for _, known in STAND_INS}


def test_a_partial_function_is_code(tmp_path: Path) -> None:
    torch.save({"f": functools.partial(print, 1), "state_dict": STATE}, tmp_path / "w")
    with pytest.raises(ZoetropeError, match=r"asks for functools\.partial, which is code"):
        read_state(tmp_path / "w")
