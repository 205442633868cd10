"""U-Net: the published counts and sizes, what an unpadded one sees, and how it begins."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import models
from models.complexity import complexity, count_parameters
from models.unet_size import MARGIN_PX, valid_size
from pipeline.base.errors import ZoetropeError
from tests.models.exported import assert_onnx_agrees


def on_meta(name: str, num_classes: int = 2, **options: Any) -> Any:
    with torch.device("meta"):
        return models.build(name, num_classes, **options)


@pytest.mark.parametrize(
    ("name", "num_classes", "options", "parameters"),
    [
        ("unet", 2, {"in_channels": 1}, 31_030_658),
        ("unet", 2, {}, 31_031_810),
        ("unet", 21, {}, 31_033_045),
        ("unet_bn", 2, {}, 31_037_698),
        # 2x2 * 2C * C of each up-convolution are 1 * 2C * C.
        ("unet", 2, {"upsample": "bilinear"}, 31_031_810 - 3 * 2 * (512**2 + 256**2 + 128**2 + 64**2)),
    ],
)
def test_parameters(name: str, num_classes: int, options: dict[str, Any], parameters: int) -> None:
    assert count_parameters(on_meta(name, num_classes, **options)) == parameters


def test_the_published_sizes() -> None:
    """Figure 1: 572 px give 388, and 32 px enter the lowest level."""
    model, seen = on_meta("unet"), []
    for block in (model.inc, model.down1, model.down2, model.down3, model.down4, model.up1, model.up4.conv):
        block.register_forward_hook(lambda _, inputs, y: seen.append((inputs[0].shape[2], y.shape[2])))
    assert model(torch.zeros(1, 3, 572, 572, device="meta")).shape == (1, 2, 388, 388)
    assert seen == [(572, 568), (284, 280), (140, 136), (68, 64), (32, 28), (28, 52), (392, 388)]
    assert (model.margin_px, on_meta("unet_bn").margin_px) == (92, 0)


def test_multiply_adds_of_the_last_level_by_hand() -> None:
    cost, wide = (complexity("unet", classes).multiply_adds for classes in (2, 5))
    assert wide - cost == 3 * 64 * 388**2


@given(st.integers(1, 5000))
def test_valid_sizes(n_px: int) -> None:
    valid = valid_size(n_px)
    assert valid >= n_px
    assert valid < n_px + 16 or valid == 188
    assert valid_size(valid) == valid
    side = valid
    for _ in range(4):
        side -= 4
        assert side % 2 == 0
        side //= 2
    assert (side - 4) * 16 - 60 == valid - 2 * MARGIN_PX > 0


def test_known_valid_sizes() -> None:
    assert [valid_size(n) for n in (1, 188, 189, 512, 572, 573)] == [188, 188, 204, 524, 572, 588]


def test_another_size_is_refused_in_words() -> None:
    model = models.build("unet", 2, width=4)
    with pytest.raises(ZoetropeError, match=r"this one is 512 x 572 px: bring it to 524 x 572, or take unet_bn"):
        model(torch.zeros(1, 3, 512, 572))
    with pytest.raises(ZoetropeError, match="bring it to 188 x 188"):
        model(torch.zeros(1, 3, 172, 188))


def test_logits_lie_in_the_middle_of_what_they_see() -> None:
    """The margin is what each side's first logit needs, so that a mirrored border of 92 px is all that is wanted."""
    torch.manual_seed(0)
    model = models.build("unet", 1, width=4, dropout=0.0)
    x = torch.randn(1, 3, 204, 204, requires_grad=True)
    logits = model(x)
    assert logits.shape == (1, 1, 20, 20)
    gradient = torch.autograd.grad(logits[0, 0, 0, 0], x, retain_graph=True)[0][0].abs().sum(0)
    rows = gradient.sum(1).nonzero().flatten()
    assert int(rows.min()) == 0
    assert abs((rows.min() + rows.max()).item() / 2 - MARGIN_PX) <= 8  # of a stride of 16
    gradient = torch.autograd.grad(logits[0, 0, -1, -1], x)[0][0].abs().sum(0)
    assert int(gradient.sum(1).nonzero().max()) == 203


@pytest.mark.parametrize("upsample", ["deconv", "bilinear"])
@pytest.mark.parametrize("size_px", [(16, 16), (17, 31), (65, 48)])
def test_the_padded_one_takes_odd_sizes(upsample: str, size_px: tuple[int, int]) -> None:
    model = models.build("unet_bn", 3, width=4, upsample=upsample).eval()
    assert model(torch.randn(1, 3, *size_px)).shape == (1, 3, *size_px)


@pytest.mark.parametrize(("name", "size_px", "cut"), [("unet", 188, slice(88, 96)), ("unet_bn", 37, slice(0, 37))])
def test_maps_of_the_contracting_path_come_first_and_from_the_middle(name: str, size_px: int, cut: slice) -> None:
    """188 px are 184 behind the first level and 8 behind the last up-convolution: 88 less on each side."""
    torch.manual_seed(0)
    model: Any = models.build(name, 2, width=4).eval()
    seen: list[Any] = []
    model.inc.register_forward_hook(lambda _, __, y: seen.append(y))
    model.up4.conv.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    model(torch.randn(1, 3, size_px, size_px))
    first, both = seen
    assert both.shape[1] == 8
    assert torch.equal(both[:, :4], first[:, :, cut, cut])


def test_initialisation_is_the_published_one() -> None:
    """Section 3.1: a standard deviation of sqrt(2/N), N = 9 * 64 for a 3x3 convolution over 64 channels."""
    torch.manual_seed(0)
    model: Any = models.build("unet", 2, width=32)
    assert model.down2[0].weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.01)
    assert model.up1.up.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.01)
    assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))


def test_dropout_is_behind_the_last_two_levels() -> None:
    def places(model: nn.Module) -> list[str]:
        return [name for name, module in model.named_modules() if isinstance(module, nn.Dropout)]

    assert places(on_meta("unet")) == ["down3.4", "down4.4"]
    assert places(on_meta("unet_bn")) == []
    assert places(on_meta("unet_bn", dropout=0.1)) == ["down3.6", "down4.6"]


@pytest.mark.parametrize("name", ["unet", "unet_bn"])
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)


@pytest.mark.slow
def test_at_its_published_size() -> None:
    torch.manual_seed(0)
    model = models.build("unet", 2, in_channels=1)
    logits = model(torch.randn(1, 1, 572, 572))
    assert logits.shape == (1, 2, 388, 388)
    # He's initialisation keeps the size of what passes.
    assert 0.2 < logits.std() < 5
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
