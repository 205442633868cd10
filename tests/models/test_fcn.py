"""FCN: the published counts, offsets that lie where the picture is, kernels that interpolate."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from models.complexity import count_parameters
from models.fcn import Deconvolution, Interpolation, bilinear_kernel
from tests.models.exported import assert_onnx_agrees


def on_meta(name: str, num_classes: int = 21, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, num_classes, **options)


@pytest.mark.parametrize(
    ("name", "parameters", "trainable"),
    [
        ("fcn32s_vgg16", 136_152_917, 134_346_581),
        ("fcn16s_vgg16", 134_815_994, 134_357_354),
        ("fcn8s_vgg16", 134_489_759, 134_362_751),
    ],
)
def test_parameters(name: str, parameters: int, trainable: int) -> None:
    assert count_parameters(on_meta(name)) == parameters
    assert sum(p.numel() for p in on_meta(name).parameters() if p.requires_grad) == trainable
    assert all(p.requires_grad for p in on_meta(name, learn_upsample=True).parameters())
    assert count_parameters(on_meta(name, upsample="bilinear")) == trainable


def test_the_bilinear_kernel() -> None:
    side = torch.tensor([0.25, 0.75, 0.75, 0.25])
    assert torch.equal(bilinear_kernel(4), side[:, None] * side)
    assert torch.equal(bilinear_kernel(3), torch.tensor([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]))
    assert bilinear_kernel(16)[7].tolist() == [i / 16 * 15 / 16 for i in (1, 3, 5, 7, 9, 11, 13, 15, *range(15, 0, -2))]


@pytest.mark.parametrize("stride", [2, 8, 16, 32])
def test_both_ways_to_enlarge_are_one_but_at_the_border(stride: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 6)
    deconvolved, interpolated = Deconvolution(3, stride, learned=False)(x), Interpolation(stride)(x)
    assert deconvolved.shape == interpolated.shape == (2, 3, 6 * stride, 7 * stride)
    inside = (..., slice(stride, -stride), slice(stride, -stride))
    torch.testing.assert_close(deconvolved[inside], interpolated[inside], rtol=1e-5, atol=1e-6)


def test_classes_are_enlarged_each_by_itself() -> None:
    weight = Deconvolution(3, 2, learned=True).weight
    assert torch.equal(weight[1, 1], bilinear_kernel(4))
    assert weight.requires_grad
    assert int((weight != 0).sum()) == 3 * 16


def ramps(model: Any, size_px: int) -> Tensor:
    """What a model gives whose every score is the column of the picture that it stands for: one row, float [W].

    The first convolution adds 99 px before the picture; a map of stride s begins there, and its i-th place is in the
    middle of the pixels s*i to s*i + s - 1. The 7x7 of fc6 takes three places off each side.
    """

    def place(stride: int, border: int) -> Any:
        def scored(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> Tensor:
            height, width = inputs[0].shape[2:]
            row = (torch.arange(width) + border) * stride + (stride - 1) / 2 - 99
            return row.expand(1, 1, height, width) / (len(model.skips) + 1)

        return scored

    strides = {"fc7": (32, 3), "pool4": (16, 0), "pool3": (8, 0)}
    for name, layer in model.score.items():
        layer.register_forward_hook(place(*strides[name]))
    with torch.no_grad():
        return model(torch.zeros(1, 3, size_px, size_px))[0, 0, size_px // 2]


@pytest.mark.parametrize("name", ["fcn32s_vgg16", "fcn16s_vgg16", "fcn8s_vgg16"])
@pytest.mark.parametrize("size_px", [160, 177])
def test_scores_come_out_where_they_belong(name: str, size_px: int) -> None:
    """The published offsets bring every pixel its own place back, but near the border, where scores fade to 0."""
    found = ramps(models.build(name, 1, width=4).eval(), size_px)
    torch.testing.assert_close(found[32:-48], torch.arange(32.0, size_px - 48), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["fcn32s_vgg16", "fcn16s_vgg16", "fcn8s_vgg16"])
def test_fixed_kernels_and_interpolation_answer_alike(name: str) -> None:
    torch.manual_seed(0)
    deconvolves, interpolates = (models.build(name, 3, width=4, upsample=way).eval() for way in ("deconv", "bilinear"))
    for parameter in deconvolves.get_submodule("score").parameters():
        nn.init.normal_(parameter)
    state = deconvolves.state_dict()
    interpolates.load_state_dict({key: state[key] for key in interpolates.state_dict()})
    x = torch.randn(1, 3, 160, 177)
    with torch.no_grad():
        one, other = (model(x)[..., 32:-48, 32:-48] for model in (deconvolves, interpolates))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert one.std() > 0.1


@pytest.mark.parametrize("name", ["fcn32s_vgg16", "fcn16s_vgg16", "fcn8s_vgg16"])
def test_any_size(name: str) -> None:
    model = on_meta(name, 2, width=4)
    for height, width in [(1, 1), *((n, 600 - n) for n in range(31, 97))]:
        assert model(torch.zeros(1, 3, height, width, device="meta")).shape == (1, 2, height, width)


def test_it_starts_without_an_opinion() -> None:
    model: Any = models.build("fcn8s_vgg16", 3, width=4)
    assert not model.eval()(torch.randn(1, 3, 20, 20)).any()
    assert not any(p.any() for p in model.score.parameters())
    assert model.features[0].weight.any()
    assert model.margin_px == 0


def test_an_option_init_leaves_the_kernels() -> None:
    model: Any = models.build("fcn8s_vgg16", 3, width=4, init="xavier_normal")
    assert torch.equal(model.upscore["x8"].weight[2, 2], bilinear_kernel(16))


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model: Any = models.build("fcn8s_vgg16", 3, width=4)
    for parameter in model.score.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 3, 20, 20)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("fcn8s_vgg16", tmp_path)


@pytest.mark.slow
def test_at_its_published_size() -> None:
    torch.manual_seed(0)
    model = models.build("fcn8s_vgg16", 21)
    logits = model(torch.randn(1, 3, 64, 96))
    assert logits.shape == (1, 21, 64, 96)
    logits.sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == [
        "upscore.pool4.weight",
        "upscore.pool3.weight",
        "upscore.x8.weight",
    ]
