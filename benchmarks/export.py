"""How long an export takes, and how far its answers are from the model's: each family at its published depth.

    python -m benchmarks.export [--only tsm_resnet50 ...]

Models are as published in depth and in the size of their input, for 101 classes, with weights drawn at random, those
that start at zero too, and batch norms that have seen a batch. Seconds are those of the processor, of one thread:
tracing, and writing the ONNX file. The difference is the largest of any probability, for one sample and for two, of
noise.
"""

import argparse
import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from models.options import OPTIONS
from pipeline.exported.agreement import worst_differences
from pipeline.exported.answering import exportable, free_sides, traced
from pipeline.exported.formats import run_onnx, write_onnx
from pipeline.recipe import Recipe, check
from pipeline.tasks import task_of
from pipeline.tasks.base import Task
from pipeline.training.model import build_model
from pipeline.training.step import Normalize

CLASSES = tuple(f"class {i}" for i in range(101))
CASES: dict[str, dict[str, Any]] = {
    "resnet50": {},
    "mobilenetv2": {},
    "tsn_resnet50": {},
    "tsn_resnet50, non-local": {"non_local": True},
    "tsm_resnet50": {},
    "tsm_resnet50, temporal pooling": {"temporal_pool": True},
    "tsm_resnet50, online": {"direction": "past"},
    "tsm_mobilenetv2": {},
    "timesformer_base, S": {"attention": "space_only"},
    "timesformer_base, ST": {"attention": "joint_space_time"},
    "timesformer_base, T+S": {"attention": "divided_space_time"},
    "timesformer_base, L+G": {"attention": "local_global"},
    "timesformer_base, T+W+H": {"attention": "axial"},
    "hornet_tiny_7x7": {},
    "hornet_tiny_gf": {},
    "fcn8s_vgg16": {},
    "unet": {},
    "unet_bn": {},
    "deeplabv3_resnet50": {},
}


def drawn(recipe: Recipe, x: torch.Tensor) -> tuple[torch.nn.Module, Task]:
    """Build a model whose branches all do something, with batch norms that have seen `x`."""
    torch.manual_seed(0)
    model, task = build_model(recipe, len(CLASSES)), task_of(recipe, CLASSES)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("bias") and parameter.abs().max() < 0.01:
                parameter.normal_(std=0.05)
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = 1.0
        task.exported(model.train(), x)
    return model.eval(), task


def measure(name: str, folder: Path) -> tuple[float, float, float, float, bool]:
    """Return seconds of tracing and of writing, the file's MB, the worst difference, and whether its size is free."""
    kind, options = name.partition(",")[0], CASES[name]
    family = OPTIONS[kind]
    channels_frames_size = family(kind=kind).input_shape  # type: ignore[call-arg]  # a field of each family
    size = {"height": channels_frames_size[-2], "width": channels_frames_size[-1]}
    source = {"kind": "digit-scenes"} if family.answers == "mask" else {"kind": "folder", "path": "/"}
    recipe = check(
        {
            "name": "export",
            "task": {"kind": "segmentation" if family.answers == "mask" else f"{family.modality()}-classification"},
            "data": {"source": source},
            "model": {"kind": kind, **options},
            "augment": {"train": [{"CenterCrop": size}], "eval": [{"CenterCrop": size}]},
            "optimizer": {"kind": "sgd", "lr": 0.1},
            "train": {"duration": "1ep", "batch_size": 2},
        },
        "benchmarks/export.py",
    )
    normalize = Normalize.of(recipe, torch.device("cpu"))
    frames = (recipe.clip.frames,) if family.modality() == "video" else ()
    views = list(np.random.default_rng(0).integers(0, 255, (2, *frames, *size.values(), 3), dtype=np.uint8))
    model, task = drawn(recipe, normalize(np.stack(views)))
    given = exportable(recipe, model, task, online=name.endswith("online"), any_size=task.any_size)
    path = folder / "model.onnx"
    began = time.process_time()
    program = traced(given)
    then = time.process_time()
    write_onnx(given, program, path)
    done = time.process_time()
    worst = max(worst_differences(given, run_onnx(path), [{"pixels": view} for view in views], normalize).values())
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return then - began, done - then, megabytes, worst, free_sides(program, given.axes)


def main() -> None:
    """Print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="MODEL", help="beginnings of names; all, when none is given")
    only = tuple(parser.parse_args().only or ("",))
    torch.set_num_threads(1)
    print("| model | traced, s | written, s | MB | worst difference | size |")
    print("|---|---|---|---|---|---|")
    for name in CASES:
        if not name.startswith(only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            traced_s, written_s, megabytes, worst, is_free = measure(name, Path(folder))
        size = "free" if is_free else "fixed"
        print(f"| {name} | {traced_s:.1f} | {written_s:.1f} | {megabytes:.0f} | {worst:.1e} | {size} |", flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
