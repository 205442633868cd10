"""docs/extend.md is true: its examples run, and the places that it names are there."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import models
from augment.own import OWN
from augment.transforms import check, compose
from models.options import FAMILIES, OPTIONS
from pipeline.sources.listing import Candidate
from tests.conftest import ROOT
from tests.pipeline.stages.alone import a_context

PAGE = (ROOT / "docs" / "extend.md").read_text()
EXAMPLES = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE, re.DOTALL))


def example(name: str) -> SimpleNamespace:
    """What a block of the page defines."""
    found: dict[str, Any] = {"__name__": f"example_{name}"}
    exec(compile(EXAMPLES[name], f"docs/extend.md: {name}", "exec"), found)
    return SimpleNamespace(**found)


def test_every_example_is_run() -> None:
    assert EXAMPLES.keys() == {"model", "source", "transform", "stage"}
    assert max(len(code.splitlines()) for code in EXAMPLES.values()) <= 26


@pytest.mark.parametrize("path", sorted({*re.findall(r"`((?:tests|models|augment|pipeline)/[\w/.]+\w)`", PAGE)}))
def test_a_place_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(FAMILIES) == set(OPTIONS.values())
    monkeypatch.setitem(OPTIONS, "tiny", example("model").TinyOptions)
    assert models.build("tiny", 5, width=4)(torch.rand(2, 3, 9, 9)).shape == (2, 5)


def test_the_source(tmp_path: Path) -> None:
    for name in ("cat-1", "cat-2", "dog-7"):
        (tmp_path / f"{name}.jpg").touch()
    source, asked = example("source"), SimpleNamespace(path=str(tmp_path))
    listing = source.look(asked, None, 0.2)
    assert listing.candidates[2] == Candidate("dog-7.jpg", str(tmp_path / "dog-7.jpg"), ("dog",), "train")
    assert [one.split for one in listing.candidates] == ["val", "train", "train"]
    before = source.digest(asked)
    (tmp_path / "dog-7.jpg").write_bytes(b"1")
    assert source.digest(asked) != before


def test_the_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OWN, "Darken", example("transform").Darken)
    monkeypatch.setitem(compose.__globals__["build_list"].__globals__["TRANSFORMS"], "Darken", OWN["Darken"])
    spec: Any = [{"Darken": {"most": 0.9, "p": 1.0}}]
    assert check(spec, "augment") == []
    pixels = np.full((4, 4, 3), 200, np.uint8)
    dark = compose(spec)(pixels, "key")
    assert (dark < 200).all()
    assert np.array_equal(dark, compose(spec)(pixels, "key"))


def test_the_stage(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(
        json.dumps({"splits": {"train": {"shards": [{"samples": 3}, {"samples": 4}]}}})
    )
    stage = example("stage")
    shard: Any = SimpleNamespace(file=lambda name: tmp_path / name)
    context = a_context(None, tmp_path, shard=shard)  # type: ignore[arg-type]  # it asks for no recipe
    assert stage.run(context) == {"train": 7}
    assert json.loads((context.out / "counts.json").read_text()) == {"train": 7}
    assert stage.STAGE.module == "pipeline.stages.count"
