"""PSPNet: the published counts and costs, its pyramid by hand, and in what the port differs."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

import models
from models.complexity import complexity, count_parameters
from models.pspnet import PyramidPooling
from pipeline.training.lone import REFUSES
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "variant", "parameters"),
    [
        ("pspnet_resnet50", "semseg", 49_081_578),
        ("pspnet_resnet101", "semseg", 68_073_706),
        ("pspnet_resnet50", "yassouali", 51_446_762),
        ("pspnet_resnet101", "yassouali", 70_438_890),
    ],
)
def test_parameters(name: str, variant: str, parameters: int) -> None:
    """The names and shapes are in `weights/test_layouts.py`."""
    assert count_parameters(on_meta(name, 21, variant=variant)) == parameters
    if variant == "semseg":
        assert parameters - count_parameters(on_meta(name, 21, auxiliary_head=False)) == 2_365_205


def test_published_cost() -> None:
    assert complexity("pspnet_resnet50", 21).multiply_adds / 1e9 == pytest.approx(161.6, abs=0.05)


@pytest.mark.parametrize(
    ("variant", "rates"),
    [("semseg", [[1] * 3, [1] * 4, [2] * 6, [4] * 3]), ("yassouali", [[1] * 3, [1] * 4, [1, *[2] * 5], [2, 4, 4]])],
)
def test_dilations(variant: str, rates: list[list[int]]) -> None:
    trunk: Any = on_meta("pspnet_resnet50", 21, variant=variant).get_submodule("backbone")
    assert [[block.conv2.dilation[0] for block in stage] for stage in trunk.stages] == rates
    assert trunk.conv1.stride == (2, 2)
    assert (trunk.conv1.out_channels, trunk.conv3.out_channels) == (64, 128)


def test_the_pyramid_by_hand() -> None:
    """With convolutions that take the first channel, each level is a mean over its parts; corners meet."""
    pyramid: Any = PyramidPooling(4).eval()
    for conv, norm, _ in pyramid.levels:
        conv.weight.data.copy_(torch.tensor([1.0, 0, 0, 0]).reshape(1, 4, 1, 1))
        norm.eps = 0.0
    x = torch.arange(36.0).reshape(1, 1, 6, 6).expand(1, 4, 6, 6)
    y = pyramid(x)[0]
    assert torch.equal(y[:4], x[0])
    torch.testing.assert_close(y[4], torch.full((6, 6), 17.5))
    # Quarters: means of 3 x 3 numbers, at the corners as they are, between them in steps of a fifth.
    torch.testing.assert_close(y[5, 0], torch.linspace(7.0, 10.0, 6))
    torch.testing.assert_close(y[5, :, 0], torch.linspace(7.0, 25.0, 6))
    torch.testing.assert_close(y[6, 0], torch.linspace(3.5, 7.5, 6))
    torch.testing.assert_close(y[7], x[0, 0])


@pytest.mark.parametrize(("variant", "meets"), [("semseg", True), ("yassouali", False)])
def test_how_logits_are_enlarged(variant: str, meets: bool) -> None:
    """Of 25 px there are 4 places; where corners meet, every eighth pixel is one of them."""
    torch.manual_seed(0)
    model: Any = models.build("pspnet_resnet50", 2, width=4, variant=variant).eval()
    small: list[Any] = []
    model.classifier.register_forward_hook(lambda _, __, y: small.append(y))
    with torch.no_grad():
        large = model(torch.randn(1, 3, 25, 25))
    assert small[0].shape == (1, 2, 4, 4)
    assert torch.allclose(large[..., ::8, ::8], small[0], atol=1e-6) == meets


def test_the_auxiliary_head_answers_in_training_and_learns() -> None:
    torch.manual_seed(0)
    model: Any = models.build("pspnet_resnet50", 3, width=4)
    logits, auxiliary = model(torch.randn(2, 3, 40, 33))
    assert logits.shape == auxiliary.shape == (2, 3, 40, 33)
    auxiliary.sum().backward()
    assert model.backbone.layer3[5].conv2.weight.grad is not None
    assert model.backbone.layer4[0].conv2.weight.grad is None


def test_one_sample_in_training_is_refused_as_a_plan_expects() -> None:
    model = on_meta("pspnet_resnet50", 2, width=4)
    with pytest.raises(ValueError, match=REFUSES):
        model.train()(torch.empty(1, 3, 64, 64, device="meta"))
    assert model.eval()(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 2, 64, 64)


def test_dropouts_are_of_channels() -> None:
    model = on_meta("pspnet_resnet50", 21, dropout=0.3)
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout2d)}
    assert rates == {"classifier.1.3": 0.3, "aux_classifier.3": 0.3}


@pytest.mark.slow
def test_means_over_parts_stay_right_at_other_sizes_in_a_graph(tmp_path: Path) -> None:
    """A map that is finer than the bins, and coarser, and of another rest than the one that was traced."""
    model = PyramidPooling(4, 2).eval()
    sides = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    with torch.no_grad():
        program = torch.export.export(model, (torch.randn(2, 4, 8, 8),), dynamic_shapes=(sides,), strict=False)
        made = torch.onnx.export(program, input_names=["x"], dynamo=True, verbose=False)
        assert made is not None
        made.save(str(tmp_path / "model.onnx"))
        session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
        for size in ((8, 8), (3, 4), (13, 7), (5, 12)):
            x = torch.randn(2, 4, *size)
            (found,) = session.run(None, {"x": x.numpy()})
            torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("pspnet_resnet50", tmp_path)
