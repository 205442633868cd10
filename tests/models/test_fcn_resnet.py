"""FCN on ResNet against torchvision's names, shapes, counts and costs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.complexity import complexity, count_parameters
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import digest, on_meta


@pytest.mark.parametrize(
    ("name", "parameters", "known"),
    [
        ("fcn_resnet50", 35_322_218, (334, "1092973e1eb9477c")),
        ("fcn_resnet101", 54_314_346, (640, "25617490219d50b0")),
    ],
)
def test_state_dicts_are_torchvisions(name: str, parameters: int, known: tuple[int, str]) -> None:
    model = on_meta(name, 21)
    assert count_parameters(model) == parameters
    assert digest(model) == known
    # The auxiliary head: 3x3 * 1024 * 256, two of a batch norm, 256 * 21 and 21.
    assert parameters - count_parameters(on_meta(name, 21, auxiliary_head=False)) == 2_365_205


def test_names_and_shapes_are_torchvisions() -> None:
    state = {name: tuple(value.shape) for name, value in on_meta("fcn_resnet50", 21).state_dict().items()}
    assert {name: shape for name, shape in state.items() if not name.startswith("backbone.")} == {
        f"{head}.{name}": shape
        for head, before, channels in (("classifier", 2048, 512), ("aux_classifier", 1024, 256))
        for name, shape in {
            "0.weight": (channels, before, 3, 3),
            **{f"1.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")},
            "1.num_batches_tracked": (),
            "4.weight": (21, channels, 1, 1),
            "4.bias": (21,),
        }.items()
    }


@pytest.mark.parametrize(("name", "giga"), [("fcn_resnet50", 152.717), ("fcn_resnet101", 232.738)])
def test_published_cost(name: str, giga: float) -> None:
    """torchvision counts the auxiliary head in: of 65 x 65 places here."""
    auxiliary = 65 * 65 * (9 * 1024 * 256 + 256 * 21)
    assert (complexity(name, 21).multiply_adds + auxiliary) / 1e9 == pytest.approx(giga, abs=5e-4)


def test_the_last_stages_dilate_as_torchvisions_do() -> None:
    trunk: Any = on_meta("fcn_resnet50", 21).get_submodule("backbone")
    rates = [[block.conv2.dilation[0] for block in stage] for stage in trunk.stages]
    assert rates == [[1] * 3, [1] * 4, [1, *[2] * 5], [2, 4, 4]]


def test_the_auxiliary_head_answers_in_training_and_learns() -> None:
    torch.manual_seed(0)
    model: Any = models.build("fcn_resnet50", 3, width=4)
    logits, auxiliary = model(torch.randn(1, 3, 40, 33))
    assert logits.shape == auxiliary.shape == (1, 3, 40, 33)
    auxiliary.sum().backward()
    assert model.backbone.layer3[5].conv2.weight.grad is not None
    assert model.backbone.layer4[0].conv2.weight.grad is None


def test_dropouts() -> None:
    model = on_meta("fcn_resnet50", 21, dropout=0.3)
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert rates == {"classifier.3": 0.3, "aux_classifier.3": 0.3}


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("fcn_resnet50", tmp_path)
