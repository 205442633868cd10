"""From a recipe to its training order, on stored shards."""

import json
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.local import LocalFeed
from pipeline.feed.ring import new_arrays
from pipeline.feed.sequence import training_order
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.order import Order
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import write_dataset, write_shard
from tests.conftest import COLOURS, image_sample


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Shards of two sources: 20 blue and 5 green ones of `far`, then 6 red ones of `near`."""
    folder = tmp_path_factory.mktemp("sources")
    labels = {"far": [0] * 20 + [1] * 5, "near": [2] * 6}
    train = [
        replace(write_shard(folder, "train", i, 100 * i, [image_sample(n, 9) for n in numbers]), source=name)
        for i, (name, numbers) in enumerate(labels.items())
    ]
    val = [write_shard(folder, "val", 0, 0, [image_sample(n, 7) for n in range(3)])]
    return write_dataset(folder, "image", list(COLOURS), {"train": train, "val": val})


def test_which_source_a_shard_is_of_is_kept(sources: Dataset, images: Dataset) -> None:
    assert [shard.source for shard in sources.split("train").shards] == ["far", "near"]
    listed = json.loads((images.folder / "dataset.json").read_text())
    assert "source" not in listed["splits"]["train"]["shards"][0]  # so what is no mixture is written as ever


def labels_of(dataset: Dataset, recipe: Any, epoch: int) -> list[int]:
    source = BatchSource(recipe, dataset, "train", training=True)
    reader = ShardReader(dataset.files, "train")
    batches = [source.positions(epoch, k) for k in range(source.steps)]
    places = [pair for batch in batches for pair in zip(batch.shard.tolist(), batch.index.tolist(), strict=True)]
    labels = [reader.read(*place).label for place in places]
    return [label for label in labels if isinstance(label, int)]


def test_every_sample_once_is_the_plain_order(make_recipe: Any, sources: Dataset) -> None:
    assert isinstance(training_order(make_recipe("image"), sources, "train"), Order)


def test_balanced(make_recipe: Any, sources: Dataset) -> None:
    recipe = make_recipe("image", **{"train.sampling": {"kind": "balanced", "epoch": "48sa"}})
    for epoch in range(3):
        assert Counter(labels_of(sources, recipe, epoch)) == {0: 16, 1: 16, 2: 16}


def test_weighted(make_recipe: Any, sources: Dataset) -> None:
    """20 blue ones once and 5 green ones 4 times make 40; red ones never."""
    sampling = {"kind": "weighted", "classes": {"green": 4, "red": 0}, "epoch": "40sa"}
    assert Counter(labels_of(sources, make_recipe("image", **{"train.sampling": sampling}), 0)) == {0: 20, 1: 20}


def sets(folder: Path, labels: list[tuple[int, ...]]) -> Dataset:
    """Samples with these sets of classes."""
    samples = [
        replace(image_sample(0, 9), label=one, class_name=tuple(list(COLOURS)[k] for k in one)) for one in labels
    ]
    shards = {
        "train": [write_shard(folder, "train", 0, 0, samples)],
        "val": [write_shard(folder, "val", 0, 0, samples)],
    }
    return write_dataset(folder, "image", list(COLOURS), shards, label_sets=True)


def test_a_sample_of_several_classes_counts_for_the_rarest(make_recipe: Any, tmp_path: Path) -> None:
    """12 of blue alone, 3 of blue and green, 1 of all three, 4 of none: four classes, 8 samples each."""
    labels: list[tuple[int, ...]] = [(0,)] * 12 + [(0, 1)] * 3 + [(0, 1, 2)] + [()] * 4
    recipe = make_recipe(
        "image", **{"task.kind": "image-multilabel", "train.sampling": {"kind": "balanced", "epoch": "32sa"}}
    )
    source = BatchSource(recipe, sets(tmp_path, labels), "train", training=True)
    seen = Counter(labels[i] for k in range(source.steps) for i in source.positions(0, k).sample.tolist())
    assert seen == {(0,): 8, (0, 1): 8, (0, 1, 2): 8, (): 8}


def test_samples_without_any_class_cannot_be_balanced(make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image", **{"task.kind": "image-multilabel", "train.sampling": {"kind": "balanced"}})
    with pytest.raises(ZoetropeError, match="balanced goes by the classes that a sample has, and the shards do not"):
        training_order(recipe, sets(tmp_path, [()] * 9), "train")


def test_shares(make_recipe: Any, sources: Dataset) -> None:
    """By default an epoch is as long as all sources together: 3 batches of 8 here, 18 of far and 6 of near."""
    recipe = make_recipe("image", **{"data.source": MIXTURE, "train.sampling": {"kind": "shares", "of": SHARES}})
    for epoch in range(3):
        labels = labels_of(sources, recipe, epoch)
        assert len(labels) == 24
        assert labels.count(2) == 6


def test_a_sample_that_comes_again_is_seen_in_another_view(make_recipe: Any, sources: Dataset) -> None:
    sampling = {"kind": "weighted", "classes": {"blue": 0, "green": 0}, "epoch": "60sa"}
    recipe = make_recipe("image", **{"train.sampling": sampling, "train.batch_size": 60})
    source = BatchSource(recipe, sources, "train", training=True)
    arrays = new_arrays(source.layout())
    BatchMaker(source).make(0, 0, arrays)
    views = Counter(pixels.tobytes() for pixels in arrays["pixels"][arrays["sample"] == 25])
    assert sum(views.values()) == 10
    assert len(views) > 5


@pytest.mark.parametrize("sampling", ["balanced", "shares"])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_global_batch(make_recipe: Any, sources: Dataset, sampling: str, world: int) -> None:
    changes = {
        "data.source": MIXTURE,
        "train.sampling": {"kind": sampling} | ({"of": SHARES} if sampling == "shares" else {}),
    }
    recipe = make_recipe("image", **changes)
    whole = BatchSource(recipe, sources, "train", training=True).positions(1, 2).sample
    ranks = [BatchSource(recipe, sources, "train", rank, world, training=True) for rank in range(world)]
    assert all(np.array_equal(rank.positions(1, 2).sample, whole) for rank in ranks)


@pytest.mark.parametrize("sampling", [{"kind": "balanced"}, {"kind": "shares", "of": {"near": 1, "far": 3}}])
def test_batches_are_the_same_from_any_number_of_processes(
    make_recipe: Any, sources: Dataset, sampling: dict[str, Any]
) -> None:
    recipe = make_recipe("image", **{"data.source": MIXTURE, "train.sampling": sampling})
    source = BatchSource(recipe, sources, "train", training=True)
    seen = []
    for workers in (0, 2):
        with closing(LocalFeed(source, range(2, 7), workers, 60)) as feed:
            seen.append([{name: array.copy() for name, array in batch.arrays.items()} for batch in feed])
    assert len(seen[0]) == 5
    for one, other in zip(*seen, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in ("pixels", "label", "weight", "sample"))


def test_what_a_dataset_has_not_is_named(make_recipe: Any, sources: Dataset, images: Dataset) -> None:
    cases = [
        (sources, {"kind": "weighted", "classes": {"gren": 1}}, "unknown class 'gren'; did you mean 'green'"),
        (sources, {"kind": "weighted", "classes": dict.fromkeys(COLOURS, 0)}, "every class .* weighs 0"),
        (images, {"kind": "shares", "of": SHARES}, "no training sample of far is left"),
    ]
    for dataset, sampling, says in cases:
        recipe = make_recipe("image", **{"data.source": MIXTURE, "train.sampling": sampling})
        with pytest.raises(ZoetropeError, match=says):
            training_order(recipe, dataset, "train")


def test_a_dataset_written_before_there_were_sources(images: Dataset, tmp_path: Path) -> None:
    content = (images.folder / "dataset.json").read_bytes()
    (tmp_path / "dataset.json").write_bytes(content)
    assert b"source" not in content
    assert [shard.source for shard in open_dataset(tmp_path).split("train").shards] == [None, None]


MIXTURE = {
    "kind": "mixture",
    "of": {"near": {"kind": "folder", "path": "/near"}, "far": {"kind": "folder", "path": "/far"}},
}
SHARES = {"near": 1, "far": 3}
