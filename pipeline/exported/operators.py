"""Operators of our own in a traced model: what ONNX has in their place, and what torch alone makes of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.ops.boxes import overlaps
from models.ops.nms import NMS

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def onnx_operators() -> dict[Callable, Callable]:
    """Return how our operators are written in ONNX, as `torch.onnx.export` takes it."""
    import onnxscript

    op: Any = onnxscript.opset18

    def nms(boxes: Any, scores: Any, overlap: float, threshold: float) -> Any:
        """A row is a picture of one class for `NonMaxSuppression`, which gives (row, 0, place) of what stays."""
        found = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            op.Constant(value_ints=[torch.iinfo(torch.int32).max]),
            op.Constant(value_floats=[overlap]),
            op.Constant(value_floats=[threshold]),
        )
        places = op.Gather(found, op.Constant(value_ints=[0, 2]), axis=1)
        ones = op.Cast(op.GreaterOrEqual(op.Gather(found, op.Constant(value_int=0), axis=1), 0), to=1)
        return op.Cast(op.ScatterND(op.Mul(scores, 0.0), places, ones), to=9)

    def sort(x: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
        """`TopK` of all; of equal numbers it gives the first one first."""
        length = op.Gather(op.Shape(x), op.Constant(value_ints=[dim]), axis=0)
        return op.TopK(x, length, axis=dim, largest=int(descending))

    return {NMS: nms, torch.ops.aten.sort.stable: sort}


def with_torch_alone(program: "ExportedProgram") -> "ExportedProgram":
    """Write our operators in torch's, so that what is saved needs none of our code."""
    if all(node.target is not NMS for node in program.graph.nodes):
        return program
    return program.run_decompositions({NMS: _nms})


def _nms(boxes: Tensor, scores: Tensor, overlap: float, threshold: float) -> Tensor:
    """`staying` as a graph, whose rounds are a loop in it."""
    ranked, order = scores.sort(dim=1, descending=True, stable=True)
    alive = ranked > threshold
    inside = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    removes = (overlaps(inside, inside) > overlap).triu(1) & alive[..., None]

    def goes_on(stays: Tensor, before: Tensor) -> Tensor:
        return (stays != before).any()

    def round_(stays: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return ~(removes & stays[..., None]).any(-2), stays.clone()

    start = torch.ones_like(alive)
    stays, _ = torch._higher_order_ops.while_loop(goes_on, round_, (start, ~start))
    return torch.zeros_like(alive).scatter(1, order, stays & alive)
