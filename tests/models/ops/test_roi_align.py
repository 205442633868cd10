"""RoIAlign: its formula written out, values by hand, and ONNX Runtime's operator, which is another's code."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from models.ops.roi_align import levels, roi_align

BOXES = [
    [3.0, 5.0, 60.0, 41.0],
    [-9.0, -14.0, 20.0, 30.0],
    [50.0, 40.0, 99.0, 77.0],
    [10.0, 10.0, 10.5, 10.2],
    [0.0, 0.0, 64.0, 48.0],
]


def by_formula(one: Tensor, stride: int, box: list[float], side: int, samples: int) -> Tensor:
    """The definition, point by point: [C, h, w] and one box -> [C, side, side]."""
    height, width = one.shape[1:]
    x0, y0, x1, y1 = (edge / stride for edge in box)
    bin_width, bin_height = max(x1 - x0, 1.0) / side, max(y1 - y0, 1.0) / side
    out = torch.zeros(len(one), side, side, dtype=torch.float64)
    for i in range(side):
        for j in range(side):
            for k in range(samples):
                for m in range(samples):
                    y = y0 + (i + (k + 0.5) / samples) * bin_height
                    x = x0 + (j + (m + 0.5) / samples) * bin_width
                    if y < -1 or y > height or x < -1 or x > width:
                        continue
                    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                    top, left = int(y), int(x)
                    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                    down, over = y - top, x - left
                    out[:, i, j] += (1 - down) * (1 - over) * one[:, top, left] + (1 - down) * over * one[:, top, right]
                    out[:, i, j] += down * (1 - over) * one[:, bottom, left] + down * over * one[:, bottom, right]
    return out / samples**2


@pytest.mark.parametrize(("side", "samples"), [(3, 2), (2, 1)])
def test_is_the_formula_on_every_level(side: int, samples: int) -> None:
    maps = [torch.randn(2, 3, 12, 16), torch.randn(2, 3, 6, 8)]
    boxes = torch.tensor([BOXES, BOXES[::-1]])
    level = torch.tensor([[0, 1, 0, 1, 0], [1, 0, 0, 1, 1]])
    found = roi_align(maps, (4, 8), boxes, level, side, samples)
    for i in range(2):
        for j, at in enumerate(level[i].tolist()):
            right = by_formula(maps[at][i].double(), 4 * 2**at, boxes[i, j].tolist(), side, samples)
            torch.testing.assert_close(found[i, j].double(), right, rtol=0, atol=1e-5)


def test_is_what_onnx_runtime_has() -> None:
    """Of the same convention as torchvision's `aligned=False`."""
    x, boxes = torch.randn(1, 4, 12, 16), torch.tensor(BOXES)
    node = onnx.helper.make_node(
        "RoiAlign",
        ["x", "boxes", "of"],
        ["y"],
        output_height=7,
        output_width=7,
        sampling_ratio=2,
        spatial_scale=0.25,
        coordinate_transformation_mode="output_half_pixel",
    )
    kinds = {"x": onnx.TensorProto.FLOAT, "boxes": onnx.TensorProto.FLOAT, "of": onnx.TensorProto.INT64}
    inputs = [onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "pool", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (right,) = session.run(None, {"x": x.numpy(), "boxes": boxes.numpy(), "of": [0] * len(BOXES)})
    found = roi_align([x], (4,), boxes[None], torch.zeros(1, len(BOXES), dtype=torch.int64), 7)
    torch.testing.assert_close(found[0], torch.from_numpy(right), rtol=0, atol=1e-5)


def test_by_hand() -> None:
    """On a map whose values are their column, bins are where their middles are; the last one is beyond the border."""
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    found = roi_align([ramp], (2,), torch.tensor([[[1.0, 2.0, 7.0, 6.0]]]), torch.zeros(1, 1, dtype=torch.int64), 3)
    torch.testing.assert_close(found[0, 0, 0, 0], torch.tensor([1.0, 2.0, (2.75 + 3) / 2]))


def test_gradients() -> None:
    boxes, level = torch.tensor([BOXES[:3]]), torch.tensor([[0, 1, 0]])
    maps = [torch.randn(1, 2, 6, 8, requires_grad=True), torch.randn(1, 2, 3, 4, requires_grad=True)]
    weight = torch.randn(1, 3, 2, 2, 2)
    (roi_align(maps, (8, 16), boxes, level, 2) * weight).sum().backward()
    for at, one in enumerate(maps):
        slope = torch.zeros_like(one)
        for number in range(one.numel()):
            unit = torch.zeros(one.numel())
            unit[number] = 1
            others = [unit.view_as(one) if i == at else torch.zeros_like(other) for i, other in enumerate(maps)]
            slope.view(-1)[number] = (roi_align(others, (8, 16), boxes, level, 2) * weight).sum()
        torch.testing.assert_close(one.grad, slope)


def test_levels() -> None:
    """224 px is level 4, each half one less (FPN, eq. 1); ends are closed, nothing is level 2."""
    sides = torch.tensor([0.0, 16, 111, 112, 223, 224, 447, 448, 3000])
    boxes = torch.stack([sides * 0, sides * 0, sides * 2, sides / 2], -1)
    assert levels(boxes, coarsest=5).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_half_precision_is_summed_in_float32() -> None:
    one = torch.randn(1, 2, 6, 8).bfloat16()
    arguments = (8,), torch.tensor([BOXES]), torch.zeros(1, 5, dtype=torch.int64), 7
    assert torch.equal(roi_align([one], *arguments), roi_align([one.float()], *arguments))


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    class Pool(nn.Module):
        def forward(self, fine: Tensor, coarse: Tensor, boxes: Tensor) -> Tensor:
            return roi_align([fine, coarse], (4, 8), boxes, levels(boxes, coarsest=3), 7)

    arguments = torch.randn(2, 3, 12, 16), torch.randn(2, 3, 6, 8), torch.tensor([BOXES, BOXES[::-1]])
    names = ["fine", "coarse", "boxes"]
    torch.onnx.export(Pool().eval(), arguments, tmp_path / "pool.onnx", input_names=names)
    given = {name: value.numpy() for name, value in zip(names, arguments, strict=True)}
    (found,) = onnxruntime.InferenceSession(tmp_path / "pool.onnx").run(None, given)
    torch.testing.assert_close(torch.from_numpy(found), Pool()(*arguments), rtol=0, atol=1e-5)
