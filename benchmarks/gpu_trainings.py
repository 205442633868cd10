"""Trainings out of shards on one device, each against a bare PyTorch loop: what `benchmarks.gpu` measures on a card.

Where there is no GPU they are small, and say only that they run.
"""

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode
from pipeline.recipe import Recipe, check
from pipeline.shards.dataset import Dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard
from pipeline.training.distributed import Process
from pipeline.training.loop import LOG_EVERY_STEPS, train
from pipeline.training.model import build_model

SKIPPED = LOG_EVERY_STEPS
"""Steps that are not counted: a compiler and cuDNN's choices are at work in them."""
CLASSES, FILM_FRAMES, FILMS = ("a", "b"), 48, 4
TRAININGS: dict[str, tuple[str, dict[str, Any]]] = {
    "images, fp32": ("image", {"precision": "fp32"}),
    "images, bf16": ("image", {"precision": "bf16"}),
    "clips, bf16": ("video", {"precision": "bf16"}),
    "images, bf16, compiled": ("image", {"precision": "bf16", "compile": True}),
}
Found = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How large all of it is."""

    models: dict[str, dict[str, Any]]
    crop_px: int
    frames: int
    batch: dict[str, int]
    samples: dict[str, int]
    steps: int
    feed_workers: int
    reduced_mib: int


ON_GPU = Size(
    models={"image": {"kind": "resnet50"}, "video": {"kind": "tsm_resnet50"}},
    crop_px=224,
    frames=8,
    batch={"image": 128, "video": 16},
    samples={"image": 1024, "video": 64},
    steps=60,
    feed_workers=max(1, min(16, (os.cpu_count() or 2) - 1)),
    reduced_mib=256,
)
ON_CPU = Size(
    models={"image": {"kind": "resnet18", "width": 8, "stem": "small"}, "video": {"kind": "tsm_resnet18", "width": 8}},
    crop_px=32,
    frames=2,
    batch={"image": 8, "video": 4},
    samples={"image": 32, "video": 8},
    steps=2 * SKIPPED,
    feed_workers=1,
    reduced_mib=1,
)


def make_recipe(modality: str, changes: dict[str, Any], size: Size) -> Recipe:
    """Crop and flip, SGD, channels-last; it validates and keeps a checkpoint at the end only."""
    px, end = size.crop_px, f"{size.steps}st"
    return check(
        {
            "name": "gpu",
            "task": {"kind": f"{modality}-classification"},
            "data": {"source": {"kind": "folder", "path": "/nowhere"}},
            **({"clip": {"frames": size.frames}} if modality == "video" else {}),
            "model": size.models[modality],
            "augment": {
                "train": [{"RandomCrop": {"height": px, "width": px}}, {"HorizontalFlip": {}}],
                "eval": [{"CenterCrop": {"height": px, "width": px}}],
            },
            "optimizer": {"kind": "sgd", "lr": 0.01},
            "train": {"duration": end, "evaluate": end, "checkpoint": end, "batch_size": size.batch[modality]}
            | {"channels_last": True, "shuffle_window": 64, **changes},
            "feed": {"workers": size.feed_workers},
        },
        "the benchmark",
    )


def draw(folder: Path, modality: str, size: Size) -> Dataset:
    """JPEGs cut out of scikit-learn's two photos, or films that walk over them; a few of them for validation."""
    from sklearn.datasets import load_sample_images

    photos, rng = load_sample_images().images, np.random.default_rng(0)
    height, width = size.crop_px * 8 // 7 // 2 * 2, size.crop_px * 32 // 21 // 2 * 2

    def cut(label: int, frames: int) -> np.ndarray:
        photo = photos[label]
        y, x = rng.integers(photo.shape[0] - height - frames), rng.integers(photo.shape[1] - width - frames)
        return np.stack([photo[y + t : y + t + height, x + t : x + t + width] for t in range(frames)])

    films = [encode(cut(i % 2, FILM_FRAMES), 24) for i in range(FILMS)] if modality == "video" else []

    def sample(i: int) -> StoredSample:
        label = i % 2
        if modality == "video":
            kind, data, many, fps = "mp4", films[i % FILMS], FILM_FRAMES, 24.0
        else:
            kind, data, many, fps = "jpg", encode_jpeg(cut(label, 1)[0], 90), 1, 0.0
        duration_s = many / fps if fps else 0.0
        return StoredSample(kind, data, label, CLASSES[label], f"{i}", "0" * 64, width, height, many, fps, duration_s)

    counts = {"train": size.samples[modality], "val": size.batch[modality]}
    shards = {split: [write_shard(folder, split, 0, 0, map(sample, range(count)))] for split, count in counts.items()}
    return write_dataset(folder, "video" if modality == "video" else "image", CLASSES, shards)


def wait(device: torch.device) -> None:
    """For all that was asked of the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_mib(device: torch.device) -> float | None:
    """The most memory that tensors took since it was asked last; None on a CPU."""
    if device.type != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated(device) / 2**20
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def from_shards(recipe: Recipe, dataset: Dataset, device: torch.device) -> Found:
    """Our training; its losses are means of ten steps each."""
    peak_mib(device)
    at: dict[int, float] = {}
    told: list[dict[str, float]] = []

    def on_points(done: int, total: int, metrics: dict[str, float]) -> None:
        if "train/loss" in metrics:  # it was read from the device, so all steps before are done
            at[done] = time.perf_counter()
            told.append(metrics)

    train(recipe, dataset, Process(device=device), on_points, lambda step, save, metrics: None)
    last = max(at)
    return {
        "samples_per_s": recipe.train.batch_size * (last - SKIPPED) / (at[last] - at[SKIPPED]),
        "data_wait": float(np.mean([metrics["throughput/data_wait"] for metrics in told[1:]])),
        "peak_mib": peak_mib(device),
        "losses": [metrics["train/loss"] for metrics in told],
    }


def bare(
    recipe: Recipe, size: Size, device: torch.device, prepare: Callable[[nn.Module], nn.Module] = lambda model: model
) -> Found:
    """Forward, backward, step, on a batch that lies on the device; `prepare` may wrap the model."""
    peak_mib(device)
    torch.manual_seed(0)
    model = prepare(build_model(recipe, len(CLASSES)).to(device)).train()
    run: Any = torch.compile(model) if recipe.train.compile else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    n, frames = recipe.train.batch_size, (size.frames,) if recipe.task.kind.startswith("video") else ()
    x = torch.rand(n, 3, *frames, size.crop_px, size.crop_px, device=device)
    x = x.contiguous(memory_format=torch.channels_last_3d if frames else torch.channels_last)
    labels = torch.arange(n, device=device) % len(CLASSES)
    began_s = 0.0
    for step in range(size.steps):
        if step == SKIPPED:
            wait(device)
            began_s = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.train.precision == "bf16"):
            loss = functional.cross_entropy(run(x), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    wait(device)
    rate = n * (size.steps - SKIPPED) / (time.perf_counter() - began_s)
    return {"samples_per_s": rate, "peak_mib": peak_mib(device)}


def compare(name: str, size: Size, device: torch.device, datasets: dict[str, Dataset]) -> Found:
    """A training, its peer, and ours over it."""
    modality, changes = TRAININGS[name]
    recipe = make_recipe(modality, changes, size)
    peer, ours = bare(recipe, size, device), from_shards(recipe, datasets[modality], device)
    return {"ours": ours, "bare": peer, "ratio": ours["samples_per_s"] / peer["samples_per_s"]}
