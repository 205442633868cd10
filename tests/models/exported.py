"""A small model as an ONNX file gives what torch gives."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch.utils._pytree import tree_leaves

import models
from pipeline.exported.operators import onnx_operators
from tests.models.small import batch, shallow, small


def assert_onnx_agrees(name: str, folder: Path, **options: Any) -> None:
    """Compare a small model, of these options besides, with what it is as an ONNX file."""
    torch.manual_seed(0)
    with shallow():
        model, x = models.build(name, 5, **{**small(name), **options}).eval(), batch(name, (48, 64))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        expected = tree_leaves(model(x))
    file = folder / "model.onnx"
    torch.onnx.export(model, (x,), file, input_names=["x"], custom_translation_table=onnx_operators())
    found = onnxruntime.InferenceSession(file).run(None, {"x": x.numpy()})
    for said, right in zip(found, expected, strict=True):
        if right.dtype == torch.bool:
            assert torch.equal(torch.from_numpy(said), right)
            continue
        # Of the largest logit: what rounds differently is as large as what is added up.
        atol = 1e-4 * max(1.0, right.abs().max().item())
        torch.testing.assert_close(torch.from_numpy(said), right, rtol=1e-3, atol=atol)
