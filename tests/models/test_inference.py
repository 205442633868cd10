"""The form for predictions answers as the model does; what may not be folded is not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import models
from models.inference import NORMS, Packed, look, prepare, prepare_at_first_call
from models.linear import Linear, LinearGELU
from models.norms import FrozenBatchNorm2d
from models.options import OPTIONS
from tests.models.small import ONE_EACH, batch, small

QUICK = (
    "resnet18",
    "maskrcnn_resnet18_fpn",
    "tsm_resnet18",
    "r3d_18",
    "densenet121",
    "vit_b_16",
    "edsr_baseline",
    "two_stream_tsn_resnet18",
)
# Norms that follow no convolution, or one whose maps others read as well.
LEFT = {"densenet121": 62, "eco_lite": 6, "resnet18": 0, "mobilenetv2": 0, "slowfast_4x16_r50": 0, "yolov5n": 0}


def known(module: nn.Module) -> nn.Module:
    """Norms that do something, as after a training."""
    torch.manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, NORMS) and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
    return module.eval()


def close(found: object, right: object) -> None:
    pairs = list(zip(tree_leaves(found), tree_leaves(right), strict=True))
    assert pairs
    for a, b in pairs:
        if isinstance(b, Tensor):
            torch.testing.assert_close(
                a, b, rtol=1e-5, atol=1e-5 * max(1, float(b.float().abs().max() if b.numel() else 0))
            )
        else:
            assert a == b


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ONE_EACH])
@torch.inference_mode()
def test_every_model_answers_as_before(name: str) -> None:
    torch.manual_seed(0)
    model = known(models.build(name, 5, **small(name)))
    with torch.device("meta"):
        twin = models.build(name, 5, **small(name))
    x = batch(name)
    right = model(x)
    prepare(model, twin, x.to("meta"))
    close(model(x), right)
    left = [each for each in model.modules() if isinstance(each, NORMS)]
    assert any(isinstance(each, Packed) for each in model.modules())
    if name in LEFT:
        assert len(left) == LEFT[name]


@pytest.mark.parametrize(
    "name",
    [
        "maskrcnn_resnet18_fpn",  # whose masks are made behind the forward pass
        *(pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ONE_EACH),
    ],
)
@torch.inference_mode()
def test_in_bf16_weights_are_cast_once_and_to_the_same_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = known(models.build(name, 5, **small(name)))
    with torch.device("meta"):
        twin = models.build(name, 5, **small(name))
    x, other = batch(name), copy.deepcopy(model)
    prepare(model, copy.deepcopy(twin), x.to("meta"), dtype=torch.bfloat16)
    monkeypatch.setattr("models.inference.can_be_packed", lambda module: False)
    prepare(other, twin, x.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(x), other(x)
    if OPTIONS[name].answers == "objects":  # of which they are made in float32
        decodes: list[Any] = [model.decode, other.decode]
        outputs = tuple(decode(out, x.shape[2:], 9) for decode, out in zip(decodes, outputs, strict=True))
    found, right = map(tree_leaves, outputs)
    assert [each.dtype for each in found] == [each.dtype for each in right]
    for a, b in zip(found, right, strict=True):
        if name.startswith("trn_"):  # multiplies a bias, which is rounded before or after
            torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)
        else:
            assert torch.equal(a, b)
    assert any(each.dtype == torch.bfloat16 for each in model.parameters())


def convolution(kind: Callable[..., nn.Module] = nn.Conv2d, **options: object) -> nn.Module:
    return kind(4, 4, 3, **options)


class Chain(nn.Module):
    """A convolution and a norm."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class ReadTwice(Chain):
    """What is between them is added to what follows."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y + self.norm(y)


class NormTwice(Chain):
    """The norm has another input, too."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.norm(x)[..., 1:-1, 1:-1]


class SharedConvolution(Chain):
    """The convolution is called once more, without the norm."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.conv(x)


class TwoNames(Chain):
    """The convolution has another name, too, by which it is called."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__(conv, norm)
        self.again = conv

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.again(x))


class TwoLevels(Chain):
    """Both are called for maps of two sizes, as a detector's heads are."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).sum() + self.norm(self.conv(x[..., :6, :6])).sum()


@pytest.mark.parametrize("kind", [Chain, TwoLevels])
@pytest.mark.parametrize(
    "norm", [lambda: nn.BatchNorm2d(4), lambda: FrozenBatchNorm2d(4, 1e-3)], ids=["batch", "frozen"]
)
@torch.inference_mode()
def test_a_norm_is_folded(kind: type[Chain], norm: Callable[[], nn.Module]) -> None:
    model = known(kind(convolution(padding=1, groups=2), norm()))
    x = torch.randn(2, 4, 9, 9)
    right = model(x)
    prepare(model, copy.deepcopy(model).to("meta"), x.to("meta"))
    assert isinstance(model.norm, nn.Identity)
    close(model(x), right)


@pytest.mark.parametrize("kind", [ReadTwice, NormTwice, SharedConvolution, TwoNames])
def test_a_norm_that_cannot_be_folded_stays(kind: type[Chain]) -> None:
    model = known(kind(convolution(), nn.BatchNorm2d(4)))
    x = torch.randn(2, 4, 9, 9)
    with torch.inference_mode():
        right = model(x)
        prepare(model, copy.deepcopy(model).to("meta"), x.to("meta"))
        assert isinstance(model.norm, nn.BatchNorm2d)
        close(model(x), right)


def test_a_norm_of_the_batch_itself_stays() -> None:
    model = Chain(convolution(), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    assert look(model, torch.randn(2, 4, 9, 9)).norms == {}


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"groups": 4}, {"padding": "same"}, {"bias": False}]
)
@pytest.mark.parametrize("axes", [2, 3])
@torch.inference_mode()
def test_other_sizes_and_layouts(axes: int, options: dict[str, object]) -> None:
    """Weights laid out for one size do for others."""
    torch.manual_seed(0)
    model = nn.Sequential(convolution(nn.Conv2d if axes == 2 else nn.Conv3d, **options)).eval()
    ready = copy.deepcopy(model)
    prepare(ready, copy.deepcopy(model).to("meta"), torch.empty(1, 4, *[8] * axes, device="meta"))
    assert isinstance(ready[0], Packed) == (options.get("padding") != "same")
    for shape in ((1, 4, *[8] * axes), (3, 4, *[13] * axes)):
        x = torch.randn(shape)
        close(ready(x), model(x))
        close(ready(x.movedim(1, -1).contiguous().movedim(-1, 1)), model(x))


def test_it_happens_at_the_first_call() -> None:
    model = known(Chain(convolution(), nn.BatchNorm2d(4)))
    right = copy.deepcopy(model)
    x = torch.randn(2, 4, 9, 9)
    prepare_at_first_call(model, lambda: copy.deepcopy(right).to("meta"))
    assert isinstance(model.conv, nn.Conv2d)
    with torch.inference_mode():
        first, second = model(x), model(x)
        assert isinstance(model.conv, Packed)
        assert torch.equal(first, second)
        close(first, right(x))


@torch.inference_mode()
def test_linear_layers_are_packed_with_the_gelu_behind_them() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(LinearGELU(6, 12), Linear(12, 6), nn.Linear(6, 3, bias=False)).eval()
    ready, x = copy.deepcopy(model), torch.randn(2, 5, 6)
    prepare(ready, copy.deepcopy(model).to("meta"), x.to("meta"))
    assert [getattr(layer, "gelu", None) for layer in ready] == [True, False, False]
    for given in (x, x[0], x[:, :0], x[None]):
        close(ready(given), model(given))
