from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.decode.values import Values
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import ShardReader
from tune.policy.folds import held_out, labels_of, subset


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.05, 0.95), st.integers(0, 99))
def test_each_class_is_shared_out(labels: list[int], share: float, seed: int) -> None:
    mask = held_out(np.array(labels), share, seed)
    for label in set(labels):
        count, out = labels.count(label), int(mask[np.array(labels) == label].sum())
        assert out == (0 if count == 1 else min(max(round(share * count), 1), count - 1))


def test_folds_differ_and_are_keyed() -> None:
    labels = np.arange(40) % 4
    one, other = held_out(labels, 0.4, 0, 1), held_out(labels, 0.4, 0, 2)
    assert one.sum() == other.sum() == 16
    assert (one != other).any()
    assert (one == held_out(labels, 0.4, 0, 1)).all()


@pytest.mark.parametrize("modality", ["image", "video"])
def test_a_subset_holds_its_samples_in_the_tars_that_are_there(
    request: pytest.FixtureRequest, modality: str, tmp_path: Path
) -> None:
    whole: Dataset = request.getfixturevalue(modality + "s")
    mask = held_out(labels_of(whole, "train"), 0.4, 0)
    fold = subset(whole, tmp_path, {"train": ("train", ~mask), "val": ("train", mask)})
    assert not list(tmp_path.rglob("*.tar"))
    reader = ShardReader(whole.files, "train")
    for split, chosen in {"train": ~mask, "val": mask}.items():
        part, read = fold.split(split), ShardReader(fold.files, split)
        assert part.samples == chosen.sum() == sum(part.class_counts)
        for number, sample in enumerate(np.flatnonzero(chosen).tolist()):
            mine, original = read.read(*part.place(number)), reader.read(*whole.split("train").place(sample))
            assert (mine.key, mine.label, bytes(mine.data)) == (original.key, original.label, bytes(original.data))


def test_a_shard_without_samples_is_left_out(images: Dataset, tmp_path: Path) -> None:
    mask = np.zeros(26, bool)
    mask[20:] = True  # the first shard has 16
    fold = subset(images, tmp_path, {"train": ("train", mask)})
    assert [shard.samples for shard in fold.split("train").shards] == [6]


def test_companions_keep_their_names(images: Dataset, tmp_path: Path) -> None:
    """Else an adopted tar's mask.png, or its png, would be no mask any more."""
    named = replace(images, members={"seg.png": "png"}, values=Values({7: 0, 255: 255}))
    fold = subset(named, tmp_path, {"train": ("train", np.ones(26, bool))})
    assert (fold.members, fold.values) == (named.members, named.values)


def test_batches_are_made_of_a_subset(images: Dataset, make_recipe: Any, tmp_path: Path) -> None:
    mask = held_out(labels_of(images, "train"), 0.4, 0)
    fold = subset(images, tmp_path, {"train": ("train", ~mask), "val": ("train", mask)})
    source = BatchSource(make_recipe("image"), fold, "train", training=True)
    arrays = new_arrays(source.layout())
    assert BatchMaker(source).make(0, 0, arrays) == (8, 8)
    assert sorted(np.unique(arrays["label"])) == [0, 1, 2]
