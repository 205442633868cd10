"""DeepLab v3 against torchvision's names, shapes, counts and costs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.complexity import complexity, count_parameters
from models.deeplab_v3 import ASPP
from pipeline.training.lone import REFUSES
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import digest


def on_meta(name: str, num_classes: int = 21, **options: Any) -> Any:
    with torch.device("meta"):
        return models.build(name, num_classes, **options)


@pytest.mark.parametrize(
    ("name", "parameters", "entries"),
    [("deeplabv3_resnet50", 42_004_074, 370), ("deeplabv3_resnet101", 60_996_202, 676)],
)
def test_parameters(name: str, parameters: int, entries: int) -> None:
    model = on_meta(name)
    assert count_parameters(model) == parameters
    assert len(model.state_dict()) == entries
    # 3x3 * 1024 * 256, two of a batch norm, 256 * 21 and 21.
    assert parameters - count_parameters(on_meta(name, auxiliary_head=False)) == 2_365_205


def test_names_and_shapes_are_torchvisions() -> None:
    state = {name: tuple(value.shape) for name, value in on_meta("deeplabv3_resnet50").state_dict().items()}
    pyramid = "classifier.0"
    expected = {
        "backbone.conv1.weight": (64, 3, 7, 7),
        "backbone.layer4.0.downsample.0.weight": (2048, 1024, 1, 1),
        f"{pyramid}.convs.0.0.weight": (256, 2048, 1, 1),
        f"{pyramid}.convs.1.0.weight": (256, 2048, 3, 3),
        f"{pyramid}.convs.3.1.running_var": (256,),
        f"{pyramid}.convs.4.1.weight": (256, 2048, 1, 1),
        f"{pyramid}.convs.4.2.num_batches_tracked": (),
        f"{pyramid}.project.0.weight": (256, 1280, 1, 1),
        "classifier.1.weight": (256, 256, 3, 3),
        "classifier.2.bias": (256,),
        "classifier.4.weight": (21, 256, 1, 1),
        "aux_classifier.0.weight": (256, 1024, 3, 3),
        "aux_classifier.1.running_mean": (256,),
        "aux_classifier.4.bias": (21,),
    }
    assert {name: state[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "known"), [("deeplabv3_resnet50", "92bcc20e8ff09729"), ("deeplabv3_resnet101", "cfa9819a8c87c0ea")]
)
def test_state_dicts_are_torchvisions(name: str, known: str) -> None:
    assert digest(on_meta(name))[1] == known


@pytest.mark.parametrize(("name", "giga"), [("deeplabv3_resnet50", 178.7), ("deeplabv3_resnet101", 258.7)])
def test_published_cost(name: str, giga: float) -> None:
    """torchvision counts the auxiliary head in: of 65 x 65 places here."""
    auxiliary = 65 * 65 * (9 * 1024 * 256 + 256 * 21)
    assert (complexity(name, 21).multiply_adds + auxiliary) / 1e9 == pytest.approx(giga, abs=0.05)


@pytest.mark.parametrize(("output_stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18])])
def test_rates_follow_the_output_stride(output_stride: int, rates: list[int]) -> None:
    model: Any = models.build("deeplabv3_resnet50", 2, width=4, output_stride=output_stride).eval()
    convs = [branch[0] for branch in list(model.classifier[0].convs)[1:4]]
    assert [conv.dilation[0] for conv in convs] == [conv.padding[0] for conv in convs] == rates
    shapes = []
    model.classifier[0].register_forward_hook(lambda _, inputs, y: shapes.append((inputs[0].shape, y.shape)))
    model(torch.randn(1, 3, 64, 96))
    height, width = 64 // output_stride, 96 // output_stride
    assert shapes == [((1, 128, height, width), (1, 16, height, width))]


def test_a_branch_of_the_pyramid_sees_places_apart() -> None:
    torch.manual_seed(0)
    pyramid: Any = ASPP(3, 4, (2, 3), 0.0).eval()
    x = torch.randn(1, 3, 9, 9, requires_grad=True)
    seen = []
    for branch in pyramid.convs:
        y = branch[:-1](x)  # without ReLU, which may be 0
        gradient = torch.autograd.grad(y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum(), x)[0]
        seen.append(sorted(set(gradient.abs().sum((0, 1)).nonzero()[:, 0].tolist())))
    assert seen == [[4], [2, 4, 6], [1, 4, 7], list(range(9))]
    assert pyramid(x).shape == (1, 4, 9, 9)


def test_the_mean_of_the_map_is_a_branch_of_its_own() -> None:
    """The last quarter of the concatenation is the same at every place."""
    torch.manual_seed(0)
    pyramid: Any = ASPP(3, 4, (1, 2), 0.0).eval()
    seen: list[Any] = []
    pyramid.project.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    x = torch.randn(2, 3, 5, 7)
    pyramid(x)
    mean = pyramid.convs[3](x)
    assert mean.shape == (2, 4, 1, 1)
    assert torch.equal(seen[0][:, -4:], mean.expand(2, 4, 5, 7))


def test_the_auxiliary_head_answers_in_training_and_learns() -> None:
    torch.manual_seed(0)
    model: Any = models.build("deeplabv3_resnet50", 3, width=4)
    logits, auxiliary = model(torch.randn(2, 3, 40, 33))
    assert logits.shape == auxiliary.shape == (2, 3, 40, 33)
    auxiliary.sum().backward()
    assert model.backbone.layer3[5].conv2.weight.grad is not None
    assert model.backbone.layer4[0].conv2.weight.grad is None
    plain: Any = models.build("deeplabv3_resnet50", 3, width=4, auxiliary_head=False)
    assert isinstance(plain(torch.randn(2, 3, 40, 33)), torch.Tensor)


def test_one_sample_in_training_is_refused_as_a_plan_expects() -> None:
    model = on_meta("deeplabv3_resnet50", 2, width=4)
    with pytest.raises(ValueError, match=REFUSES):
        model.train()(torch.empty(1, 3, 64, 64, device="meta"))
    assert model.eval()(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 2, 64, 64)


def test_dropouts() -> None:
    model = on_meta("deeplabv3_resnet50", dropout=0.3)
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert rates == {"classifier.0.project.3": 0.3, "aux_classifier.3": 0.1}


def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("deeplabv3_resnet50", tmp_path)


def test_the_one_with_multi_grid() -> None:
    """Its names and shapes are in `weights/test_layouts.py`."""
    model = on_meta("deeplabv3mg_resnet101")
    assert count_parameters(model) == 58_040_661
    rates = [[block.conv2.dilation[0] for block in stage] for stage in model.backbone.stages]
    assert rates == [[1] * 3, [1] * 4, [1] * 23, [2, 4, 8]]
    assert [branch[0].dilation[0] for branch in list(model.classifier.aspp.convs)[1:4]] == [6, 12, 18]
    several = on_meta("deeplabv3mg_resnet50", 2, width=4, msc=True)
    assert [one.shape for one in several(torch.empty(2, 3, 40, 33, device="meta"))] == [(2, 2, 40, 33)] * 4


@pytest.mark.slow
def test_at_its_published_size() -> None:
    torch.manual_seed(0)
    model = models.build("deeplabv3_resnet50", 21)
    logits, auxiliary = model(torch.randn(2, 3, 65, 97))
    assert logits.shape == auxiliary.shape == (2, 21, 65, 97)
    (logits.square().mean() + auxiliary.square().mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
