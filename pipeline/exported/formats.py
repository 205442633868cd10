"""The files that a model is exported to, and what runs them: `WRITERS` and `RUNNERS` by the name of the format."""

import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.exported.answering import Exportable
from pipeline.exported.operators import onnx_operators, with_torch_alone

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Runner = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""From a model's inputs to its outputs, both in their order."""

FILES = {"onnx": "model.onnx", "torch": "model.pt2", "safetensors": "model.safetensors"}
"""What a format's file is called."""
NEEDED = ("onnx", "onnxscript", "onnxruntime")
"""Packages of the extra `export`."""


def check_packages(to: str) -> None:
    """Raise ZoetropeError when what a format needs is not installed."""
    if to != "onnx":
        return
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ZoetropeError(
            f"--to onnx needs {', '.join(NEEDED)}, and {', '.join(missing)} is not installed; "
            "pip install 'zoetrope[export]' brings them"
        )


def write_onnx(given: Exportable, program: "ExportedProgram", path: Path) -> None:
    """Write an ONNX file; weights of more than 2 GB lie beside it, in `model.onnx.data`."""
    with _quiet():
        made = torch.onnx.export(
            program,
            input_names=list(given.inputs),
            output_names=list(given.outputs),
            dynamo=True,
            verbose=False,
            custom_translation_table=onnx_operators(),
        )
        assert made is not None
        made.save(str(path))


def write_torch(given: Exportable, program: "ExportedProgram", path: Path) -> None:
    """Write what `torch.export.load` reads."""
    torch.export.save(with_torch_alone(program), str(path))


def run_onnx(path: Path) -> Runner:
    """Open an ONNX file with onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda inputs: list(session.run(None, dict(zip(names, inputs, strict=True))))


def run_torch(path: Path) -> Runner:
    """Open a file of `torch.export`, on the CPU."""
    return run_module(torch.export.load(str(path)).module())


def run_module(module: Callable[..., Sequence[torch.Tensor]]) -> Runner:
    """Run a module of torch on arrays."""

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            return [output.numpy() for output in module(*map(torch.from_numpy, inputs))]

    return run


WRITERS: dict[str, Callable[[Exportable, "ExportedProgram", Path], None]] = {"onnx": write_onnx, "torch": write_torch}
RUNNERS: dict[str, Callable[[Path], Runner]] = {"onnx": run_onnx, "torch": run_torch}


def write_safetensors(weights: Path, about: Mapping[str, object], path: Path) -> None:
    """Write the weights alone, with what there is to know of them as the file's metadata: JSON by name.

    ZoetropeError when they do not read back bit for bit.
    """
    from safetensors.torch import load_file, save_file

    tensors = load_file(str(weights))
    save_file(tensors, str(path), {"format": "pt", **{key: json.dumps(value) for key, value in about.items()}})
    written = load_file(str(path))
    if written.keys() != tensors.keys() or not all(torch.equal(written[name], tensors[name]) for name in tensors):
        raise ZoetropeError(f"{path}: the weights do not read back as they were written; look at the disk")


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporter has to say of itself, such as of torchvision, which nobody needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
