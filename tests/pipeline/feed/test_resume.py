"""Killed at any step and resumed with another number of processes: from the tar's bytes to the batch, bit for bit."""

import os
import pickle
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
STEPS = 8
POLICY = {"AutoAugment": {"policy": "imagenet"}}

# Prints a digest of each sample of the steps from `argv[2]` on, a step a line, as rank `argv[3]` of `argv[4]`.
RANK = """
import hashlib, pickle, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from pathlib import Path
from pipeline.feed.local import LocalFeed
source = replace(pickle.loads(Path(sys.argv[6]).read_bytes()), rank=int(sys.argv[3]), world=int(sys.argv[4]))
for batch in LocalFeed(source, range(int(sys.argv[2]), int(sys.argv[5])), 1, 200.0):
    rows = zip(*(batch.arrays[name] for name in ("pixels", "label", "sample")), strict=True)
    print(*(hashlib.sha256(b"".join(part.tobytes() for part in row)).hexdigest() for row in rows), flush=True)
    sys.stdin.readline()  # goes on when it is told to
"""


def killed_after(path: Path, start: int, count: int, world: int) -> list[list[str]]:
    """The samples' digests of `count` steps from `start` on; all ranks are then killed in the middle of the next."""
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(ROOT), str(start), str(rank), str(world), str(STEPS), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    steps = []
    for _ in range(count):
        lines = []
        for rank in ranks:
            assert rank.stdin
            assert rank.stdout
            lines.append(rank.stdout.readline())
            rank.stdin.write("\n")
            rank.stdin.flush()
        steps.append(" ".join(lines).split())
    for rank in ranks:
        os.kill(rank.pid, signal.SIGKILL)
        rank.communicate()
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["image", "video"])
def test_killed_and_resumed_in_another_size_the_batches_are_the_same(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, modality: str
) -> None:
    from pipeline.feed.batch import BatchSource

    dataset = request.getfixturevalue(modality + "s")
    crop = {"RandomResizedCrop": {"size": [16, 16]}}
    recipe = make_recipe(modality, **{"augment.train": [crop, {"HorizontalFlip": {}}, POLICY]})
    path = tmp_path / "source"
    path.write_bytes(pickle.dumps(BatchSource(recipe, dataset, "train", training=True)))
    whole = killed_after(path, 0, STEPS, 1)
    assert [len(step) for step in whole] == [8] * STEPS
    assert len({digest for step in whole for digest in step}) > 50
    chance = random.Random(modality)
    steps: list[list[str]] = []
    for world in (2, 3):
        left = STEPS - len(steps)
        steps += killed_after(path, len(steps), left if world == 3 else chance.randint(1, left // 2), world)
    assert steps == whole
