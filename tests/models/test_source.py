"""Where weights are, and which of several in a file."""

from pathlib import Path

import pytest

from models.source import is_name, locate
from pipeline.base.errors import ZoetropeError


@pytest.mark.parametrize(
    ("weights", "located"),
    [
        ("/a/w.pth", ("/a/w.pth", "")),
        ("/a/w.pth#state_dict_ema", ("/a/w.pth", "state_dict_ema")),
        ("/a/w.pth#teacher/module.backbone", ("/a/w.pth", "teacher/module.backbone")),
        ("https://a.org/w.pth?dl=1#ema", ("https://a.org/w.pth?dl=1", "ema")),
        ("hf://org/name/w.pth#ema", ("hf://org/name/w.pth", "ema")),
        ("hf://org/name", ("hf://org/name", "")),
    ],
)
def test_a_place_and_an_entry(weights: str, located: tuple[str, str]) -> None:
    assert locate(weights) == located


def test_a_file_may_have_the_sign_in_its_name(tmp_path: Path) -> None:
    file = tmp_path / "w#1.pth"
    file.touch()
    assert locate(str(file)) == (str(file), "")
    assert locate(f"{file}#ema") == (str(file), "ema")


@pytest.mark.parametrize("within", ["", "model", "artifacts/model"])
def test_the_folder_of_an_exported_model(tmp_path: Path, within: str) -> None:
    file = tmp_path / within / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert locate(str(tmp_path)) == (str(file), "")


def test_another_folder(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"model\.weights: the folder .* holds no model\.safetensors; give"):
        locate(str(tmp_path))


@pytest.mark.parametrize("weights", ["imagenet1k", "quickstart-20261129T101500Z", "resnet-v1.0", "0af3"])
def test_names(weights: str) -> None:
    assert is_name(weights)


@pytest.mark.parametrize("weights", ["./imagenet1k", "w.PTH", "w.safetensors", "w.pth.tar#ema", "hf://org/name"])
def test_places(weights: str) -> None:
    assert not is_name(weights)
