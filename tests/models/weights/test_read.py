"""State dicts from files: wrappers, formats, and what is refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.weights.read import read_state, unwrap
from pipeline.base.errors import ZoetropeError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def same(found: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(STATE) and all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["w.pth", "w.pyth", "w.pth.tar", "w"])
def test_torch_files_whatever_their_name(tmp_path: Path, name: str, legacy: bool) -> None:
    """The TSM release's files are of the format before torch 1.6."""
    torch.save({"epoch": 3, "state_dict": STATE}, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    assert same(read_state(tmp_path / name))
    assert same(read_state(str(tmp_path / name)))


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    found = read_state(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    "wrapped",
    [
        STATE,
        {"state_dict": STATE},
        {"model_state": STATE, "epoch": 15, "cfg": "text"},
        {"model_state_dict": STATE, "optimizer": {"state": {}}},
        {"model": STATE},
        {"model": {"state_dict": STATE}},
    ],
)
def test_wrappers(wrapped: dict[str, Any]) -> None:
    assert same(unwrap(wrapped, "the file"))
    assert same(read_state(wrapped))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
        (torch.ones(2), "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        (
            {"weights": STATE},
            "weights is no tensor; a state dict may stand alone or under one of: state_dict, model_st",
        ),
        ({"a": torch.ones(1), "epoch": 3, 7: torch.ones(1)}, "epoch, 7 are no tensor"),
    ],
)
def test_no_state_dict(found: Any, says: str) -> None:
    with pytest.raises(ZoetropeError, match=says):
        unwrap(found, "the file")


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_are_never_unpickled(tmp_path: Path, legacy: bool) -> None:
    touched, file = tmp_path / "touched", tmp_path / "bomb.pth"
    torch.save({"state_dict": STATE, "x": Bomb(touched)}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        ZoetropeError, match=r"bomb\.pth asks for a Python object to be unpickled .*save its state dict"
    ):
        read_state(file)
    file.write_bytes(pickle.dumps(Bomb(touched), protocol=2))
    with pytest.raises(ZoetropeError, match="asks for a Python object to be unpickled"):
        read_state(file)
    assert not touched.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [12, 0.5, 0.98])
def test_a_truncated_file_says_so(tmp_path: Path, kind: str, kept: float) -> None:
    file = tmp_path / "w"
    if kind == "safetensors":
        save_file(STATE, file)
    else:
        torch.save(STATE, file, _use_new_zipfile_serialization=kind == "zip")
    data = file.read_bytes()
    file.write_bytes(data[: int(kept if kept > 1 else len(data) * kept)])
    with pytest.raises(ZoetropeError, match="w is damaged or cut short, fetch it again"):
        read_state(file)


@pytest.mark.parametrize("data", [b"", b"PK", b"<!doctype html><p>404", b"\x00" * 64])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(data)
    with pytest.raises(ZoetropeError, match=r"w\.pth is (no weights file|damaged)"):
        read_state(file)


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"there is no weights file .*none.pth; an id of the hub begins with hf://"):
        read_state(tmp_path / "none.pth")
    with pytest.raises(ZoetropeError, match=r"cannot read weights from ftp://.*: give a path, an http\(s\) URL or"):
        read_state("ftp://example.org/w.pth")
