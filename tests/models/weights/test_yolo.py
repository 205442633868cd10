"""Published state dicts of YOLOv5, and files that would have to be unpickled."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.weights import load_weights
from pipeline.base.errors import ZoetropeError


def build(name: str = "yolov5n", classes: int = 3, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return models.build(name, classes, **options).eval()


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_loads_without_a_rest_and_brings_its_anchors(tmp_path: Path, prefix: str) -> None:
    own = build(anchors=(((1, 2), (3, 4), (5, 6)), ((10, 20), (30, 40), (50, 60)), ((70, 80), (90, 99), (99, 90))))
    other = build(seed=1)
    torch.save({prefix + name: value for name, value in own.state_dict().items()}, tmp_path / "yolo.pt")
    report = load_weights(other, tmp_path / "yolo.pt")
    assert (report.family, len(report.loaded)) == ("YOLOv5", 349)
    assert (report.missing, report.unexpected, report.resized, report.replaced) == ((), (), {}, ())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(value, other(x)[name]) for name, value in own(x).items())


def test_the_head_of_other_classes_stays() -> None:
    other = build(classes=5, seed=1)
    report = load_weights(other, build().state_dict())
    assert report.replaced == tuple(name for name in other.state_dict() if name.startswith("model.24.m."))
    assert (report.missing, report.unexpected) == ((), ())


@pytest.mark.parametrize("way", ["gnconv", "horblock", "hornet"])
def test_those_with_hornet_load_their_own_alone(way: str) -> None:
    own, other = build(f"{way}_yolov5n"), build(f"{way}_yolov5n", seed=1)
    assert len(load_weights(other, own.state_dict()).loaded) == len(own.state_dict())
    with pytest.raises(ZoetropeError, match="these weights are not this model's"):
        load_weights(other, build().state_dict())


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    """As the published files are: it says how to save the tensors alone."""
    torch.save({"model": nn.Sequential(nn.Conv2d(3, 4, 1)), "epoch": -1}, tmp_path / "yolov5n.pt")
    with pytest.raises(ZoetropeError, match=r"to be unpickled \(it asks for .*save its state dict alone: python -c"):
        load_weights(build(), tmp_path / "yolov5n.pt")
