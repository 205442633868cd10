"""Suppression in exported files: what ONNX and torch alone make of it is what it is here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from models.ops.detections import detections
from models.ops.nms import NMS
from pipeline.exported.operators import onnx_operators, with_torch_alone

Run = Callable[[Tensor, Tensor], list[Tensor]]
PLACES, CLASSES = 60, 3


class Detections(nn.Module):
    """The last step of a detector by itself."""

    def forward(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, ...]:
        """Boxes float [n, P, 4], scores float [n, P, K]."""
        return tuple(detections(boxes, scores, most=25, threshold=0.15, overlap=0.4, candidates=40).values())


def heads(pictures: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes on whole pixels and scores of which many are equal: ties, and overlaps that are exactly the limit."""
    rng = torch.Generator().manual_seed(seed)
    low = torch.randint(20, (pictures, PLACES, 2), generator=rng)
    boxes = torch.cat([low, low + torch.randint(0, 12, (pictures, PLACES, 2), generator=rng)], 2).float()
    return boxes, torch.randint(20, (pictures, PLACES, CLASSES), generator=rng) / 20


@pytest.fixture(scope="module")
def program() -> ExportedProgram:
    free = {0: Dim("batch", min=1)}
    return export(Detections(), heads(2, 0), dynamic_shapes={"boxes": free, "scores": free}, strict=False)


def as_onnx(program: ExportedProgram, folder: Path) -> Run:
    made: Any = torch.onnx.export(program, dynamo=True, verbose=False, custom_translation_table=onnx_operators())
    made.save(str(folder / "model.onnx"))
    assert {node.op_type for node in made.model.graph} >= {"NonMaxSuppression"}
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: Tensor) -> list[Tensor]:
        fed = dict(zip(names, (one.numpy() for one in inputs), strict=True))
        return [torch.from_numpy(one) for one in session.run(None, fed)]

    return run


def as_torch(program: ExportedProgram, folder: Path) -> Run:
    alone = with_torch_alone(program)
    assert NMS in {node.target for node in program.graph.nodes}
    assert not any("zoetrope" in str(node.target) for node in alone.graph.nodes)
    torch.export.save(alone, folder / "model.pt2")
    module = torch.export.load(folder / "model.pt2").module()
    return lambda *inputs: list(module(*inputs))


@pytest.mark.parametrize("made", [as_onnx, as_torch])
def test_it_answers_as_here(
    program: ExportedProgram, made: Callable[[ExportedProgram, Path], Run], tmp_path: Path
) -> None:
    run = made(program, tmp_path)
    for pictures, seed in ((2, 0), (1, 1), (5, 2)):
        given = heads(pictures, seed)
        expected = Detections()(*given)
        for said, right in zip(run(*given), expected, strict=True):
            assert torch.equal(said, right)
        assert (expected[1] > 0).sum(1).min() > 5
    boxes, scores = heads(2, 3)
    assert not run(boxes, 0 * scores)[1].any()
