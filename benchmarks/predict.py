"""`predict` against the evaluation, samples/s of the same pictures on the same model in one run.

`python -m benchmarks.predict [--samples 256] [--rounds 3] [--model resnet18] [--width 64]`

Two peers. Pictures that are stored as they are: the evaluation of their shards. Larger ones, which storing shrinks:
storing plus evaluating. Each way has one process that decodes; rounds take turns, and medians are compared.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from pipeline.base.files import Folder
from pipeline.decode.image import encode_jpeg
from pipeline.exported.predictions import predictions
from pipeline.exported.predictor import Predictor
from pipeline.recipe import Recipe, check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.writer import write_dataset
from pipeline.stages.export import write_model
from pipeline.stages.measure import Trained, predict_part
from pipeline.stages.shard import make_shard
from pipeline.store.folder_store import FolderParts
from pipeline.training.model import build_model

CLASSES = ["a", "b"]


def a_recipe(model: str, width: int) -> Recipe:
    """Of pictures of 224 px."""
    return check(
        {
            "name": "predict",
            "task": {"kind": "image-classification"},
            "data": {"source": {"kind": "folder", "path": "/nowhere"}},
            "model": {"kind": model, "width": width},
            "augment": {
                "train": [{"RandomCrop": {"height": 224, "width": 224}}],
                "eval": [{"CenterCrop": {"height": 224, "width": 224}}],
            },
            "shard": {"image": {"short_side": 256}},
            "optimizer": {"kind": "sgd"},
            "train": {"duration": "1ep", "batch_size": 32},
        },
        "the benchmark",
    )


def make_files(folder: Path, samples: int, height: int, width: int) -> list[Path]:
    """Parts of scikit-learn's two photos, JPEG of quality 90."""
    from sklearn.datasets import load_sample_images

    folder.mkdir(parents=True)
    rng, paths = np.random.default_rng(0), []
    photos = [cv2.resize(photo, (1300, 1000)) for photo in load_sample_images().images]
    for i in range(samples):
        y, x = rng.integers(1000 - height), rng.integers(1300 - width)
        paths.append(folder / f"{i:05d}.jpg")
        paths[-1].write_bytes(encode_jpeg(np.ascontiguousarray(photos[i % 2][y : y + height, x : x + width]), 90))
    return paths


def store(recipe: Recipe, paths: list[Path], folder: Path) -> None:
    """As the shard stage does, in one process."""
    (folder / "scratch").mkdir(parents=True)
    rows = [{"key": path.stem, "path": str(path), "label": i % 2, "split": "val"} for i, path in enumerate(paths)]
    parts = FolderParts(folder, folder / "scratch")
    _, shard, bad = make_shard(parts, Folder(folder), "val", 0, rows, CLASSES, recipe)  # type: ignore[arg-type]  # of rows what it reads alone
    assert not bad
    write_dataset(folder, "image", CLASSES, {"train": [], "val": [shard]})


def rounds(samples: int, count: int, ways: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Samples/s of each way, the median of the rounds."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, way in ways.items():
            began_s = time.perf_counter()
            assert way() == samples
            taken[name].append(time.perf_counter() - began_s)
    return {name: samples / median(each) for name, each in taken.items()}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--width", type=int, default=64, help="of a ResNet; with 4, decoding limits both ways")
    asked = parser.parse_args()
    recipe = a_recipe(asked.model, asked.width)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file(build_model(recipe, len(CLASSES)).state_dict(), str(folder / "model.safetensors"))
        (folder / "classes.json").write_text(json.dumps(CLASSES))
        write_model(recipe, folder, folder)
        weights = folder / "model" / "model.safetensors"
        predictor = Predictor(folder / "model")
        print(f"{asked.model} of width {asked.width} on {predictor.device}, {torch.get_num_threads()} threads")
        for title, height, width in (("stored as they are", 256, 341), ("shrunk when stored", 900, 1200)):
            paths = make_files(folder / title, asked.samples, height, width)
            stored = folder / f"{title}, stored"

            def evaluated(paths: list[Path] = paths, at: Path = stored, again: bool = height > 256) -> int:
                if again:
                    shutil.rmtree(at, ignore_errors=True)
                if not at.exists():
                    store(recipe, paths, at)
                return len(predict_part([Trained(recipe, weights)], open_dataset(at)).sample)

            def predicted(paths: list[Path] = paths) -> int:
                return sum(each.error is None for each in predictions([predictor], map(str, paths), workers=1))

            rounds(asked.samples, 1, {"warm": evaluated, "up": predicted})
            rate = rounds(asked.samples, asked.rounds, {"peer": evaluated, "predict": predicted})
            peer = "evaluate" if height == 256 else "store and evaluate"
            print(
                f"{title}, {width} x {height} px: predict {rate['predict']:.1f}/s, {peer} {rate['peer']:.1f}/s, "
                f"ratio {rate['predict'] / rate['peer']:.2f}"
            )


if __name__ == "__main__":
    main()
