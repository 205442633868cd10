"""A small model as an ONNX file gives what torch gives."""

from pathlib import Path

import onnxruntime
import torch

import models
from tests.models.small import batch, small


def assert_onnx_agrees(name: str, folder: Path) -> None:
    """Compare a small model with what it is as an ONNX file."""
    torch.manual_seed(0)
    model, x = models.build(name, 5, **small(name)).eval(), batch(name, (48, 64))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        expected = model(x)
    file = folder / "model.onnx"
    torch.onnx.export(model, (x,), file, input_names=["x"])
    found = onnxruntime.InferenceSession(file).run(None, {"x": x.numpy()})[0]
    # Of the largest logit: what rounds differently is as large as what is added up.
    atol = 1e-4 * max(1.0, expected.abs().max().item())
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-3, atol=atol)
