"""YOLOv5: the published counts and names, HorNet in it, and what it costs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import models
from models.complexity import complexity, count_parameters
from models.options.yolo import COCO
from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import decode_image
from pipeline.exported.operators import onnx_operators
from pipeline.sources.scenes import draw_objects
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta

WAYS = ("gnconv", "horblock", "hornet")


@pytest.mark.parametrize(
    ("name", "parameters", "fused", "keys", "multiply_adds"),
    [
        ("yolov5n", 1_872_157, 1_867_405, 349, 2.234),
        ("yolov5s", 7_235_389, 7_225_885, 349, 8.217),
        ("yolov5m", 21_190_557, 21_172_173, 481, 24.436),
        ("yolov5l", 46_563_709, 46_533_693, 613, 54.497),
        ("yolov5x", 86_749_405, 86_705_005, 745, 102.724),
    ],
)
def test_published_counts(name: str, parameters: int, fused: int, keys: int, multiply_adds: float) -> None:
    """Of 80 classes; a batch norm that is merged into its convolution leaves one number a channel less."""
    model = on_meta(name, 80)
    norms = [one.num_features for one in model.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert (count_parameters(model), count_parameters(model) - sum(norms)) == (parameters, fused)
    assert len(model.state_dict()) == keys
    assert complexity(name, 80).multiply_adds / 1e9 == pytest.approx(multiply_adds, abs=1e-3)


def gated(c: int) -> int:
    """A gnConv of order 5: into it and out of it, 7x7 over all widths, and what widens them."""
    return (2 * c * c + 2 * c) + (c * c + c) + 50 * (2 * c - c // 16) + (85 * c * c // 128 + 15 * c // 8)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        # Published, of a version whose blocks are repeated as they are meant to be.
        ("horblock_yolov5s", {}, 11_254_285),
        ("horblock_yolov5s", {"horblock": "neck"}, 9_664_893),
        # What takes the place of a 3x3 convolution and its norm in each C3 of the neck.
        ("gnconv_yolov5s", {}, 7_235_389 + sum(gated(c) - 9 * c * c - 2 * c for c in (128, 64, 128, 256))),
    ],
)
def test_counts_of_hornet_in_it(name: str, options: dict[str, Any], parameters: int) -> None:
    assert count_parameters(on_meta(name, 80, **options)) == parameters


def test_hornet_as_the_backbone_is_as_wide_as_what_it_replaces() -> None:
    """That of s is HorNet-T in width, whose depths it has at a depth of 1."""
    for name, width, depths in (("s", 64, [1, 1, 6, 1]), ("l", 128, [2, 3, 18, 2]), ("x", 160, [3, 4, 24, 3])):
        model: Any = on_meta(f"hornet_yolov5{name}", 80)
        backbone = model.model["backbone"]
        assert backbone.channels == [width * 2**stage for stage in range(4)]
        assert [len(stage) for stage in backbone.stages] == depths
    large: Any = on_meta("hornet_yolov5l", 80)
    # HorNet-B without its head, whose first map has no norm here.
    assert count_parameters(large.model["backbone"]) == 86_233_472 - 2 * 128


def test_maps_and_names() -> None:
    model: Any = on_meta("yolov5n", 80)
    found = model.maps(torch.empty(1, 3, 128, 160, device="meta"))
    assert [tuple(one.shape[1:]) for one in found] == [(64, 16, 20), (128, 8, 10), (256, 4, 5)]
    heads = model(torch.empty(1, 3, 128, 160, device="meta"))
    assert heads["codes"].shape == (1, 1260, 4)
    names = model.state_dict()
    assert {"model.0.conv.weight", "model.9.cv2.bn.running_var", "model.23.m.0.cv2.conv.weight"} <= names.keys()
    assert list(names)[-7:] == [
        "model.24.anchors",
        *(f"model.24.m.{i}.{p}" for i in range(3) for p in ("weight", "bias")),
    ]
    assert names["model.0.conv.weight"].shape == (16, 3, 6, 6)
    assert names["model.24.m.0.weight"].shape == (255, 64, 1, 1)


def test_anchors_are_stored_in_strides() -> None:
    model: Any = models.build("yolov5n", 2)
    assert model.anchors.tolist() == [[list(map(float, pair)) for pair in level] for level in COCO]
    assert model.model["24"].anchors[1, 0].tolist() == [30 / 16, 61 / 16]
    with pytest.raises(ZoetropeError, match=r"anchors=.*above 0"):
        models.check_options("yolov5n", anchors=[[[0, 1]] * 3] * 3)


def test_biases_begin_with_few_objects() -> None:
    torch.manual_seed(0)
    model: Any = models.build("yolov5n", 80)
    for head, stride in zip(model.model["24"].m, (8, 16, 32), strict=True):
        bias, small = head.bias.detach().view(3, -1), 1 / math.sqrt(head.in_channels)
        assert (bias[:, 4] - math.log(8 / (640 / stride) ** 2)).abs().max() <= small
        assert (bias[:, 5:] - math.log(0.6 / 79.00001)).abs().max() <= small


def test_orders_need_channels() -> None:
    with pytest.raises(ZoetropeError, match="gnConv of order 7 halves its channels"):
        models.build("horblock_yolov5n", 2, horblock_order=7)


@pytest.mark.parametrize("name", ["yolov5n", *(pytest.param(f"{way}_yolov5n", marks=pytest.mark.slow) for way in WAYS)])
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)


class Whole(nn.Module):
    """A detector and its suppression."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Heads, and behind them what is found."""
        heads = self.model(x)
        return (*heads.values(), *self.model.decode(heads, x.shape[2:], 12, 0.01).values())


@pytest.mark.slow
def test_onnx_with_its_suppression_on_real_pictures(tmp_path: Path) -> None:
    """Two digits on photographs; a head that was moved, so that scores are apart."""
    torch.manual_seed(0)
    model: Any = models.build("yolov5n", 3).eval()
    with torch.no_grad():
        for head in model.model["24"].m:
            head.weight.mul_(30)
            head.bias.add_(3)
    draw_objects(tmp_path, range(2), 96)
    pixels = np.stack([decode_image(file.read_bytes()) for file in sorted(tmp_path.glob("images/*.jpg"))])
    x = torch.from_numpy(pixels).movedim(-1, 1).float() / 255
    with torch.no_grad():
        expected = Whole(model)(x)
    assert (expected[-1] >= 0).sum() > 10
    file = tmp_path / "model.onnx"
    torch.onnx.export(Whole(model).eval(), (x,), file, input_names=["x"], custom_translation_table=onnx_operators())
    found = onnxruntime.InferenceSession(file).run(None, {"x": x.numpy()})
    answers = [torch.from_numpy(said) for said in found]
    for said, right in zip(answers[:-3], expected[:-3], strict=True):  # the heads
        torch.testing.assert_close(said, right, rtol=1e-3, atol=1e-3)
    boxes, scores, kinds = expected[-3:]
    torch.testing.assert_close(answers[-2], scores, rtol=1e-3, atol=1e-3)
    # Of scores that rounding cannot tell apart either may come first; behind the last one there is another.
    gap = (scores[:, :-1] - scores[:, 1:]) > 1e-4
    clear = torch.cat([gap.new_ones(2, 1), gap], 1) & torch.cat([gap, gap.new_zeros(2, 1)], 1)
    assert clear.sum() >= 8
    torch.testing.assert_close(answers[-3][clear], boxes[clear], rtol=1e-3, atol=1e-2)
    assert torch.equal(answers[-1][clear], kinds[clear])
