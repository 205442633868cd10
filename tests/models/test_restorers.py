"""Networks that restore pictures: published counts and names, how far they see, what they start from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.brightness import restored
from models.complexity import count_parameters
from models.edsr import MeanShift
from models.ops.bicubic import cubic, enlarged
from models.options import OPTIONS
from pipeline.base.errors import ZoetropeError
from tests.models.exported import assert_onnx_agrees
from tests.models.small import small
from tests.models.test_resnet import on_meta

RESTORERS = [name for name, options in OPTIONS.items() if options.answers == "image"]


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("edsr_baseline", {}, 1_369_859),
        ("edsr_baseline", {"scale": 3}, 1_554_499),
        ("edsr_baseline", {"scale": 4}, 1_517_571),
        ("edsr", {}, 40_729_603),
        ("edsr", {"scale": 3}, 43_680_003),
        ("edsr", {"scale": 4}, 43_089_923),
        ("rcan", {}, 15_444_667 - 24),
        ("rcan", {"scale": 3}, 15_629_307 - 24),
        ("rdn", {"blocks": 20, "layers": 6, "growth": 32}, 5_616_515),
        ("rdn", {}, 22_123_395),
        ("rdn", {"scale": 4}, 22_271_107),
        ("srcnn", {"middle": 1}, 8_129),
        ("srcnn", {"middle": 3}, 24_513),
        ("srcnn", {}, 57_281),
        ("vdsr", {}, 665_921),
        ("vdsr", {"bias": False}, 664_704),
        ("dncnn", {"channels": 1}, 557_057),
        ("dncnn", {"channels": 1, "batch_norm": False}, 555_137),
        ("dncnn", {"depth": 20}, 670_531),
    ],
)
def test_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    """As published, without the 24 of the two shifts of the mean, which do not learn."""
    assert count_parameters(on_meta(name, 0, **options)) == parameters


@pytest.mark.parametrize(
    ("name", "options", "number", "some"),
    [
        ("edsr_baseline", {}, 76, "sub_mean.weight head.0.bias body.15.body.2.weight body.16.bias tail.0.0.weight"),
        ("edsr", {}, 140, "add_mean.bias body.32.weight tail.1.weight"),
        ("edsr_baseline", {"scale": 4}, 78, "tail.0.2.weight"),
        ("rcan", {"groups": 2, "blocks": 3}, 64, "body.1.body.2.body.3.conv_du.2.bias body.1.body.3.bias"),
        ("srcnn", {}, 6, "conv1.weight conv3.bias"),
        ("vdsr", {"bias": False}, 20, "input.weight residual_layer.17.conv.weight output.weight"),
        ("dncnn", {}, 109, "model.0.weight model.3.running_var model.45.num_batches_tracked model.47.bias"),
    ],
)
def test_names_are_those_of_the_releases(name: str, options: dict[str, Any], number: int, some: str) -> None:
    names = on_meta(name, 0, **options).state_dict().keys()
    assert len(names) == number
    assert {*some.split()} <= {*names}


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("name", [name for name in RESTORERS if name != "dncnn"])
def test_the_answer_is_so_many_times_as_large(name: str, scale: int) -> None:
    model = models.build(name, 0, **{**small(name), "scale": scale}).eval()
    assert model(torch.zeros(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("name", RESTORERS)
def test_it_reaches_no_further_than_it_says(name: str, scale: int) -> None:
    options = small(name) | ({} if name == "dncnn" else {"scale": scale})
    torch.manual_seed(0)
    model: Any = models.build(name, 0, **options).eval().double()
    side = 41
    x = torch.rand(1, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        moved = x.clone()
        moved[..., side // 2] += 1
        change = (model(moved) - model(x)).abs().sum((0, 1, 2)).reshape(side, -1).sum(1)
    far = [column for column in range(side) if change[column] > 1e-12]
    reach = side // 2 - far[0]
    assert far[-1] - side // 2 == reach
    if model.reach_px is None:
        assert reach == side // 2
    else:
        assert model.reach_px - 2 <= reach <= model.reach_px


def test_the_mean_is_taken_off_and_put_back() -> None:
    x = torch.rand(1, 3, 4, 4) * 255
    down = MeanShift(255, -1)(x)
    torch.testing.assert_close(x - down, torch.tensor([114.444, 111.4605, 103.02])[:, None, None].expand_as(x)[None][0])
    torch.testing.assert_close(MeanShift(255, 1)(down), x)


def test_cubic_weights_known_answers() -> None:
    """Twice as large, a pixel lies a quarter of a px beside the old one."""
    assert cubic(np.array([0.25, 0.75, 1.25, 1.75])).tolist() == [0.8671875, 0.2265625, -0.0703125, -0.0234375]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlarged_as_pillow_does(scale: int) -> None:
    """But for its rounding, and for the border, where Pillow passes over what is not there."""
    pixels = np.random.default_rng(0).integers(60, 200, (20, 30), dtype=np.uint8)
    size = (30 * scale, 20 * scale)
    expected = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)).astype(float)
    found = enlarged(torch.from_numpy(pixels)[None, None].double(), scale)[0, 0].numpy()
    inner = slice(2 * scale, -2 * scale)
    assert np.abs(found - expected)[inner, inner].max() < 1.02


def test_brightness_alone_is_changed() -> None:
    """By 219 / 255 of a grey's change; pictures of one channel go in as they are."""
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(restored(lambda y: y + 0.1, x, 1), x + 0.1 * 255 / 219)
    assert torch.equal(restored(lambda y: 2 * y, x[:, :1], 1), 2 * x[:, :1])
    assert torch.equal(restored(lambda rgb: 2 * rgb, x, 3), 2 * x)


def test_larger_scales_start_from_x2_and_none_at_all_does_too() -> None:
    """The body is the same; the tail of x4 begins with that of x2, and that of x3 is another one."""
    state = models.build("edsr_baseline", 0, blocks=2, width=8).state_dict()
    for scale, fresh in ((1, set()), (3, {"tail.0.0.weight", "tail.0.0.bias"}), (4, {"tail.0.2.weight"})):
        model = models.build("edsr_baseline", 0, blocks=2, width=8, scale=scale)
        report = models.load_weights(model, state)
        assert fresh <= {*report.replaced, *report.missing}
        assert torch.equal(model.state_dict()["body.2.weight"], state["body.2.weight"])
        assert torch.equal(model.state_dict()["tail.1.weight"], state["tail.1.weight"])
    with pytest.raises(ZoetropeError, match="another shape"):
        models.load_weights(models.build("edsr_baseline", 0, blocks=2, width=16), state)


@pytest.mark.parametrize(
    "name",
    ["rcan", "vdsr", *(pytest.param(name, marks=pytest.mark.slow) for name in ("edsr", "rdn", "srcnn", "dncnn"))],
)
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)
