"""A user's own package, outside of this tree: checked, refused, fingerprinted, and used by name in a whole run."""

import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import models
from pipeline.base.errors import ZoetropeError
from pipeline.base.plugins import VARIABLE, allow, allowed, packages
from pipeline.graph.plan import with_code
from pipeline.recipe import RecipeError, check, plain
from tests.conftest import ROOT, tiny_values

PAGE = (ROOT / "docs" / "own-package.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"```python (my_package/\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
NET = "my_package.nets:MyNet"
DARKEN = "my_package.transforms:Darken"


def write_package(folder: Path) -> None:
    """The package of docs/own-package.md."""
    for name, code in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the package, from which it can be imported."""
    folder = tmp_path_factory.mktemp("own")
    write_package(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _nothing_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def values(**changes: Any) -> dict[str, Any]:
    train = [{DARKEN: {"most": 0.9, "p": 1.0}}, {"RandomCrop": {"height": 16, "width": 16}}]
    return tiny_values("image", **{"model": {"kind": NET, "width": 4}, "augment.train": train, **changes})


def problems(**changes: Any) -> str:
    """What a recipe is refused with."""
    with pytest.raises(RecipeError) as refused:
        check(values(**changes), "a test's recipe")
    return str(refused.value)


def test_nothing_is_imported_that_is_not_allowed() -> None:
    said = problems()
    assert f"model.kind: {NET} is code of the package my_package, which may not run" in said
    assert f"augment.train[0].{DARKEN}: {DARKEN} is code of the package my_package" in said
    assert "add --allow my_package" in said
    assert "set ZOETROPE_ALLOW=my_package" in said
    assert "my_package.nets" not in sys.modules


def test_a_name_that_is_allowed_allows_no_other() -> None:
    allow(["other", "my"])
    assert "is code of the package my_package" in problems()
    with pytest.raises(ZoetropeError, match=r"--allow my_package.nets: is no name of a package"):
        allow(["my_package.nets"])
    assert allowed() == ("other", "my")


def test_the_model_and_its_options() -> None:
    allow(["my_package"])
    recipe = check(values(), "a test's recipe")
    assert plain(recipe)["model"] == {"weights": None, "init": "own", "width": 4, "kind": NET}
    assert models.build(NET, 5, width=4)(torch.rand(2, 3, 9, 9)).shape == (2, 5)
    assert check(plain(recipe), "again") == recipe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.wdth": 3}, "model.wdth: unknown key 'wdth'; did you mean 'width'?"),
        ({"model.width": "wide"}, "model.width: input should be a valid integer"),
        ({"model": {"kind": "my_package.nets:MyNt"}}, "unknown class of my_package.nets 'MyNt'; did you mean 'MyNet'?"),
        ({"model": {"kind": "my_package.nest:MyNet"}}, "importing my_package.nest failed: ModuleNotFoundError"),
        ({"model": {"kind": DARKEN}}, f"model.kind: {DARKEN} is neither a torch.nn.Module nor"),
        ({"task.kind": "video-classification"}, f"model.kind: {NET} takes images, but task.kind is video-classif"),
        ({"augment.train": [{NET: {}}], "seed": -1}, f"[0].{NET}: must be a subclass of albumentations'"),
        ({"augment.train": [{DARKEN: {"mots": 1}}], "seed": -1}, "unknown parameter 'mots'; did you mean 'most'?"),
        ({"augment.train": [{DARKEN: {"most": "x"}}], "seed": -1}, f"{DARKEN}: most: "),
    ],
)
def test_what_is_wrong_is_told(changes: Any, said: str) -> None:
    allow(["my_package"])
    assert said in problems(**changes)


NETS = """
from torch import nn

class NoClasses(nn.Module):
    def __init__(self, width=3): ...

class Taken(nn.Module):
    def __init__(self, num_classes, weights=None): ...

class Shadows(nn.Module):
    def __init__(self, num_classes, build=None): ...

class Eats(nn.Module):
    eats = "words"
    def __init__(self, num_classes): ...

def function(): ...
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NoClasses", "takes the keyword parameter num_classes, which NoClasses lacks"),
        ("Taken", "every model has the option weights already"),
        ("Shadows", "cannot set a parameter called build"),
        ("Eats", "`eats` must be one of image, video"),
        ("function", "is neither a torch.nn.Module nor"),
    ],
)
def test_a_class_that_is_no_model_of_a_recipe(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"nets_{name}.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    allow([f"nets_{name}"])
    assert said in problems(**{"model": {"kind": f"nets_{name}:{name}"}})


def test_a_package_that_cannot_be_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_net.py").write_text("import missing_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    allow(["broken_net", "nowhere"])
    said = problems(model={"kind": "broken_net:Net"})
    assert "importing broken_net failed: ModuleNotFoundError: No module named 'missing_thing'" in said
    assert "PYTHONPATH" not in said
    assert "it is looked for in the current folder" in problems(model={"kind": "nowhere.nets:Net"})


def test_what_is_allowed_goes_with_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(["my_package"])
    recipe = check(values(), "a test's recipe")
    whole, model = pickle.dumps(recipe), pickle.dumps(recipe.model)
    for sent, expected in ((whole, recipe), (model, recipe.model)):
        monkeypatch.setenv(VARIABLE, "")
        assert pickle.loads(sent) == expected  # noqa: S301  sent a line above
        assert allowed() == ("my_package",)


def test_the_transform_is_keyed() -> None:
    from augment.transforms import compose

    allow(["my_package"])
    spec: Any = [{DARKEN: {"most": 0.9, "p": 1.0}}]
    pixels = np.full((4, 4, 3), 200, np.uint8)
    dark = compose(spec)(pixels, "key")
    assert (dark < 200).all()
    assert np.array_equal(dark, compose(spec)(pixels, "key"))
    assert not np.array_equal(dark, compose(spec)(pixels, "another key"))


def test_the_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the whole package, whichever of its files a class is in, without comments."""
    digests: list[dict[str, Any]] = []
    for change in ("", "# a comment\n", "changed = 1\n"):
        copy = tmp_path / str(len(digests))
        write_package(copy)
        (copy / "my_package" / "helpers.py").write_text(change)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(copy)
            patch.setenv(VARIABLE, "my_package")
            digests.append(with_code({"task.kind": "image", "model": {"kind": NET}, "augment.eval": [{DARKEN: {}}]}))
    assert digests[0] == digests[1] != digests[2]
    assert re.fullmatch(NET + ", code [0-9a-f]{16}", digests[0]["model"]["kind"])
    assert re.fullmatch(DARKEN + ", code [0-9a-f]{16}", next(iter(digests[0]["augment.eval"][0])))
    assert digests[0]["task.kind"] == "image"


def test_the_packages_of_a_recipe() -> None:
    allow(["my_package", "other"])
    assert packages(values()) == ["my_package"]
    assert packages(tiny_values("image")) == []
    assert packages({"data": {"classes": {"rename": {"a:b": "c"}}}}) == []
