"""A mixture of two sources and sampling by class through the command line, on tiny data."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.feed.batch import BatchSource
from pipeline.recipe import load
from pipeline.shards.dataset import open_dataset

pytestmark = pytest.mark.slow

MIXTURE = {
    "kind": "mixture",
    "of": {"photos": {"kind": "folder", "path": "data"}, "more": {"kind": "table", "path": "more.csv"}},
}
SHARES = ["train.sampling.kind=shares", "train.sampling.of={photos: 3, more: 1}"]


def test_a_mixture_and_then_balanced(make_project: Callable[..., Any]) -> None:
    changes = {"data.source": MIXTURE, "train.duration": "2ep", "cluster.workers": 2, "feed.workers": 1}
    project = make_project("image", **changes)
    pictures = sorted((project.folder / "data").rglob("*.jpg"))
    rows = [
        (path.relative_to(project.folder).as_posix(), "violet" if path.parent.name == "red" else "blue", split)
        for path in pictures
        if (split := path.parts[-3]) and path.parent.name != "green"
    ]
    with (project.folder / "more.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])

    output = project.run(*SHARES)
    assert "Traceback" not in output
    train, val = (sum(split == name for *_, split in rows) for name in ("train", "val"))
    dataset = open_dataset(project.artifact("shard"))
    assert dataset.classes == ("blue", "violet", "green", "red")  # those of "more" first, by the name of the source
    assert (dataset.split("train").samples, dataset.split("val").samples) == (26 + train, 7 + val)
    assert Counter(shard.source for shard in dataset.split("train").shards) == {"more": 2, "photos": 2}
    sampled = batches(project, SHARES)
    assert len(sampled) == (26 + train) // 8
    for positions in sampled:
        sources = Counter(dataset.split("train").shards[shard].source for shard in positions.shard)
        assert sources == {"photos": 6, "more": 2}
    (run,) = project.mlflow_runs()
    assert json.loads(run.data.params["train.sampling.of.photos"]) == 3

    # Another share is another training on the same shards.
    planned = project.plan(*SHARES, "train.sampling.of.more=2")
    assert "train.sampling.of.more changed 1.0 -> 2.0" in planned
    assert "3 stages to run" in planned
    assert "0 stages to run" in project.plan(*SHARES)

    balanced = ["train.sampling.kind=balanced", "train.sampling.epoch=80sa", "train.duration=1ep"]
    assert "3 stages to run" in project.plan(*balanced)
    seen = Counter(int(sample) for positions in batches(project, balanced) for sample in positions.sample)
    assert sum(seen.values()) == 80
    wrong = project.plan("train.sampling.kind=weighted", "train.sampling.classes={viollet: 2}", code=1)
    assert "train.sampling.classes: unknown class 'viollet'; did you mean 'violet'?" in " ".join(wrong.split())


def batches(project: Any, overrides: list[str]) -> list[Any]:
    """The first epoch, as training has it."""
    dataset = open_dataset(project.artifact("shard"))
    source = BatchSource(load(project.recipe, overrides), dataset, "train", training=True)
    return [source.positions(0, k) for k in range(source.steps)]
