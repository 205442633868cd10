"""Does Fast AutoAugment find a policy whose right answer is known?

Handwritten digits of scikit-learn on a larger canvas: those to train on stand upright in the middle, the others are
rotated by up to 40 degrees and shifted by up to a seventh of the picture. 400 of these steer the search, 397 others are
the test. The right answer is to rotate and to translate. Compared on the test: no policy, a random one of the same
form, the one that was found, and one written by hand that knows the answer; all train alike.

    python -m benchmarks.policy_search --seeds 3
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from augment.policy import Policy
from pipeline.base.keyed import generator
from pipeline.decode.image import encode_jpeg
from pipeline.recipe import Recipe, check
from pipeline.recipe.policies import FastAutoAugment
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard
from tune.policy import fast
from tune.policy.child import train_child
from tune.policy.figure import operations_and_magnitudes, shares
from tune.policy.folds import subset
from tune.policy.propose import Candidate
from tune.policy.recipes import auto_augment, with_transform
from tune.policy.space import Space

SIZE_PX, GLYPH_PX, ROTATED_DEGREES, SHIFTED_PX = 28, 20, 40, 4
SPLITS = {"train": range(1000), "val": range(1000, 1400), "test": range(1400, 1797)}
RIGHT = ("Rotate", "TranslateX", "TranslateY")
BY_HAND: Policy = [[("Rotate", 0.8, 5), (name, 0.8, 3)] for name in ("TranslateX", "TranslateY")]
WAYS = ("no policy", "random", "found", "by hand")
CROP = {"CenterCrop": {"height": SIZE_PX, "width": SIZE_PX}}
SEARCH = FastAutoAugment(
    kind="fast", folds=2, score="val", candidates=60, keep=8, sub_policies=3, operations=2, samples=200
)


def draw(glyph: np.ndarray, number: int, moved: bool) -> np.ndarray:
    """uint8 [SIZE_PX, SIZE_PX, 3]: a digit (float [8, 8], 0..16) in the middle, or rotated and shifted."""
    edge = (SIZE_PX - GLYPH_PX) // 2
    enlarged = (255 / 16 * cv2.resize(glyph.astype(np.float32), (GLYPH_PX, GLYPH_PX))).astype(np.uint8)
    picture = cv2.copyMakeBorder(enlarged, edge, edge, edge, edge, cv2.BORDER_CONSTANT)
    if moved:
        rng = generator("moved", number)
        matrix = cv2.getRotationMatrix2D(((SIZE_PX - 1) / 2,) * 2, rng.uniform(-ROTATED_DEGREES, ROTATED_DEGREES), 1)
        matrix[:, 2] += rng.uniform(-SHIFTED_PX, SHIFTED_PX, 2)
        picture = cv2.warpAffine(picture, matrix, (SIZE_PX, SIZE_PX))
    return np.stack([picture] * 3, axis=-1)


def make_data(folder: Path) -> Dataset:
    """Splits `train` (upright), `val` and `test` (moved)."""
    from sklearn.datasets import load_digits

    digits = load_digits()

    def sample(number: int, moved: bool) -> StoredSample:
        content = encode_jpeg(draw(digits.images[number], number, moved), 95)
        label = int(digits.target[number])
        return StoredSample("jpg", content, label, str(label), str(number), "0" * 64, SIZE_PX, SIZE_PX, 1, 0.0, 0.0)

    shards = {
        split: [write_shard(folder, split, 0, 0, [sample(number, split != "train") for number in numbers])]
        for split, numbers in SPLITS.items()
    }
    return write_dataset(folder, "image", [str(label) for label in range(10)], shards)


def recipe_of(seed: int, duration: str) -> Recipe:
    """A small ResNet; what a policy uncovers is black, as the ground is."""
    values = {
        "name": "moved-digits",
        "seed": seed,
        "task": {"kind": "image-classification"},
        "data": {"source": {"kind": "digits"}},
        "model": {"kind": "resnet18", "width": 16},
        "augment": {"train": [CROP, {"AutoAugment": {"policy": "svhn", "fill": [0, 0, 0]}}], "eval": [CROP]},
        "optimizer": {"kind": "sgd", "lr": 0.1, "base_batch": 64, "momentum": 0.9, "weight_decay": 5e-4},
        "schedule": {"kind": "cosine", "warmup": "10%"},
        "train": {"duration": duration, "batch_size": 32, "evaluate": duration},
        "feed": {"workers": 0},
    }
    return check(values, "the benchmark")


def search_fold(data: Path, duration: str, seed_and_fold: tuple[int, int]) -> list[Candidate]:
    """The candidates of one fold."""
    seed, number = seed_and_fold
    with tempfile.TemporaryDirectory() as folder:
        return fast.search_fold(
            recipe_of(seed, duration), open_dataset(data), SEARCH, number, Path(folder), lambda *points: None
        )


def test_top1(data: Path, duration: str, seed_and_policy: tuple[int, Policy | None]) -> float:
    """Train on all of `train` with a policy, and measure on `test`."""
    seed, policy = seed_and_policy
    recipe = recipe_of(seed, duration)
    heard: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as indices, tempfile.TemporaryDirectory() as folder:
        whole = {name: (name, np.ones(len(SPLITS[name]), bool)) for name in ("train", "test")}
        dataset = subset(open_dataset(data), Path(indices), {"train": whole["train"], "val": whole["test"]})
        made = with_transform(recipe, auto_augment(recipe, policy) if policy else None)
        train_child(made, dataset, Path(folder), lambda step, total, metrics: heard.update(metrics))
    return heard["val/top1"]


def right_share(policy: Policy) -> float:
    """How much of what the policy does is to rotate or to translate."""
    often = shares(policy)
    return sum(often[name] for name in RIGHT) / sum(often.values())


def spread(values: Sequence[float]) -> str:
    """Mean, lowest and highest, in percent."""
    return f"{statistics.mean(values):.1%} ({min(values):.1%} to {max(values):.1%})"


def main() -> None:
    """Search and compare; prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--duration", default="10ep", help="of each training")
    parser.add_argument("--figure", type=Path, help="draw the first seed's policy here")
    asked = parser.parse_args()
    began = time.monotonic()
    top1: dict[str, list[float]] = {way: [] for way in WAYS}
    right: dict[str, list[float]] = {"found": [], "random": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(asked.processes, get_context("spawn")) as pool,
    ):
        data = Path(folder)
        make_data(data)
        for seed in range(asked.seeds):
            folds = [(seed, number) for number in range(SEARCH.folds)]
            found = fast.unite(list(pool.map(partial(search_fold, data, asked.duration), folds)), SEARCH)
            searched_s = time.monotonic() - began
            random = Space(len(found), SEARCH.operations).random("benchmark", seed)
            policies = dict(zip(WAYS, (None, random, found, BY_HAND), strict=True))
            jobs = [(seed, policy) for policy in policies.values()]
            for way, value in zip(WAYS, pool.map(partial(test_top1, data, asked.duration), jobs), strict=True):
                top1[way].append(value)
            right["found"].append(right_share(found))
            right["random"].append(right_share(random))
            if asked.figure and seed == 0:
                operations_and_magnitudes(found, asked.figure, "Fast AutoAugment on moved digits")
            found_shares = shares(found)
            often = sorted(found_shares.items(), key=lambda item: -item[1])[:5]
            print(f"seed {seed}: searched after {searched_s:.0f} s, compared after {time.monotonic() - began:.0f} s")
            print(
                f"  {len(found)} sub-policies, most of all", ", ".join(f"{name} {share:.2f}" for name, share in often)
            )
            print("  of it all:", ", ".join(f"{name} {found_shares.get(name, 0.0):.2f}" for name in RIGHT))
            print("  test top-1:", ", ".join(f"{way} {top1[way][-1]:.1%}" for way in WAYS), flush=True)
    print("\n| policy | test top-1 | rotate or translate, of all that it does |\n|---|---|---|")
    for way in WAYS:
        print(f"| {way} | {spread(top1[way])} | {spread(right[way]) if way in right else ''} |")


if __name__ == "__main__":
    main()
