"""Samples that are broken, that crash decord and that make it hang, in shards made for it."""

import os
import random
import signal
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.feed.bad_samples import Bad, check_bad, rows, substitutes
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.local import LocalFeed
from pipeline.feed.ring import new_arrays
from pipeline.shards.dataset import Dataset
from tests.conftest import NO_IMAGE

TIMEOUT_S = 200.0
Batches = list[dict[str, np.ndarray]]


def zeros(data: bytes) -> bytes:
    return bytes(len(data))


def crashing(data: bytes) -> bytes:
    """The sample table of an MP4 says that its first frame has 200 MB: decord reads beyond what there is (SIGSEGV)."""
    changed = bytearray(data)
    struct.pack_into(">I", changed, data.find(b"stsz") + 16, 200 << 20)
    return bytes(changed)


def batches(source: BatchSource, steps: range, workers: int, bad: Bad) -> Batches:
    with closing(LocalFeed(source, steps, workers, TIMEOUT_S, bad)) as feed:
        return [{name: array.copy() for name, array in batch.arrays.items()} for batch in feed]


def assert_same(found: Batches, expected: Batches) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name, array in other.items():
            assert np.array_equal(one[name], array)


def training(recipe: Any, dataset: Dataset, rank: int = 0, world: int = 1) -> BatchSource:
    return BatchSource(recipe, dataset, "train", rank, world, training=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_sample_is_replaced_by_arithmetic(
    make_recipe: Any, images: Dataset, damaged: Any, workers: int
) -> None:
    recipe, bad = make_recipe("image", **{"data.max_bad": 0.2}), Bad()
    found = batches(training(recipe, damaged(images, "train", {4: zeros, 20: zeros})), range(6), workers, bad)
    assert sorted(bad) == [4, 20]
    assert bad[4] == NO_IMAGE
    whole = BatchMaker(training(recipe, images))
    for step, batch in enumerate(found):
        epoch, k = whole.source.place(step)
        expected = whole.source.positions(epoch, k).sample.copy()
        for place in np.flatnonzero(np.isin(expected, [4, 20])):
            drawn = substitutes(recipe.seed, epoch, k, int(place), 26)
            expected[place] = next(sample for sample in drawn if sample not in (4, 20))
        assert batch["sample"].tolist() == expected.tolist()
        assert batch["weight"].tolist() == [1.0] * 8
        for i, sample in enumerate(expected.tolist()):
            raw = whole.reader.read(*whole.split.place(sample))
            assert batch["label"][i] == raw.label
            assert np.array_equal(batch["pixels"][i], whole.view_maker(raw.data, raw.frames, epoch, sample))


def test_substitutes_are_the_same_whatever_the_number_of_ranks(make_recipe: Any, images: Dataset, damaged: Any) -> None:
    recipe = make_recipe("image", **{"data.max_bad": 0.2})
    dataset = damaged(images, "train", {4: zeros, 20: zeros})
    whole = batches(training(recipe, dataset), range(6), 0, {})
    for world in (2, 3):
        parts = [batches(training(recipe, dataset, rank, world), range(6), 0, {}) for rank in range(world)]
        joined = [{n: np.concatenate([part[n] for part in step]) for n in step[0]} for step in zip(*parts, strict=True)]
        assert_same(joined, whole)


def test_substitutes_are_drawn_by_their_place() -> None:
    def first(seed: int, epoch: int, k: int, place: int) -> list[int]:
        draws = substitutes(seed, epoch, k, place, 1000)
        return [next(draws) for _ in range(4)]

    assert first(0, 1, 2, 3) == first(0, 1, 2, 3)
    keys = [(0, 1, 2, 3), (1, 1, 2, 3), (0, 2, 2, 3), (0, 1, 3, 3), (0, 1, 2, 4)]
    assert len({tuple(first(*key)) for key in keys}) == len(keys)


def test_in_evaluation_a_broken_sample_has_weight_0(make_recipe: Any, images: Dataset, damaged: Any) -> None:
    recipe, bad = make_recipe("image", **{"data.max_bad": 0.2}), Bad()
    dataset = damaged(images, "val", {2: zeros})
    (found,) = batches(BatchSource(recipe, dataset, "val"), range(1), 1, bad)
    (whole,) = batches(BatchSource(recipe, images, "val"), range(1), 0, {})
    assert found["weight"].tolist() == [1, 1, 0, 1, 1, 1, 1]
    assert found["sample"].tolist() == list(range(7))
    assert not found["pixels"][2].any()
    rest = [0, 1, 3, 4, 5, 6]
    assert all(np.array_equal(found[name][rest], whole[name][rest]) for name in whole)
    assert rows(dataset, "val", bad, "evaluate") == [{"source": "2002.jpg", "stage": "evaluate", "reason": NO_IMAGE}]


@pytest.mark.parametrize("workers", [0, 1])
def test_more_than_the_recipe_allows_stop_the_run(
    make_recipe: Any, images: Dataset, damaged: Any, workers: int
) -> None:
    dataset = damaged(images, "train", {4: zeros, 20: zeros})
    with pytest.raises(ZoetropeError, match=r"(?s)2 of 26 samples of the split 'train' in .* allows 1:\n  10"):
        batches(training(make_recipe("image", **{"data.max_bad": 0.04}), dataset), range(6), workers, {})


def test_the_first_bad_ones_are_shown(images: Dataset) -> None:
    bad = dict.fromkeys(range(7), "it is broken")
    check_bad(bad, 7 / 26, images, "train")
    with pytest.raises(ZoetropeError) as caught:
        check_bad(bad, 0.2, images, "train")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("cannot be used; data.max_bad = 0.2 allows 5:")
    assert lines[1:6] == [f"  100{sample}.jpg: it is broken" for sample in range(5)]
    assert lines[6] == "  and 2 more"


def test_nothing_is_left_to_train_on(make_recipe: Any, images: Dataset, damaged: Any) -> None:
    dataset = damaged(images, "train", dict.fromkeys(range(26), zeros))
    source = training(make_recipe("image", **{"data.max_bad": 0.9}), dataset)
    with pytest.raises(ZoetropeError, match=r"no sample of the split 'train' in .*damaged can be used"):
        BatchMaker(source).make(0, 0, new_arrays(source.layout()))


def test_a_sample_that_crashes_the_decoder_is_tried_twice_and_replaced(
    make_recipe: Any, videos: Dataset, damaged: Any
) -> None:
    recipe, bad = make_recipe("video", **{"data.max_bad": 0.2}), Bad()
    dataset = damaged(videos, "train", {7: crashing})
    found = batches(training(recipe, dataset), range(3), 2, bad)
    assert list(bad) == [7]
    assert bad[7].startswith("a feed worker died (exit code -")
    assert bad[7].endswith("at it, 2 times")
    assert not any(7 in batch["sample"] for batch in found)
    # With the list known, nothing crashes in this process either, and the batches are those.
    assert_same(found, batches(training(recipe, dataset), range(3), 0, dict(bad)))


@contextmanager
def beside(act: Callable[[], Any]) -> Iterator[None]:
    """Call `act` again and again in a thread of its own."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(0.002):
            act()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_sample_that_hangs_costs_two_timeouts_and_is_replaced(make_recipe: Any, videos: Dataset) -> None:
    slow = [{"Resize": {"height": 1000, "width": 1000}}, {"MedianBlur": {"blur_limit": [7, 7], "p": 1.0}}]
    changes = {"data.max_bad": 0.2, "train.batch_size": 2, "augment.train": slow}  # so that it is caught at it
    bad, stopped = Bad(), Counter[int]()
    source = training(make_recipe("video", **changes), videos)
    with closing(LocalFeed(source, range(2), 1, TIMEOUT_S, bad)) as feed:
        victim = int(source.positions(0, 1).sample[1])

        def hang() -> None:
            """The worker stops in the middle of this sample, and its time is up."""
            worker, cell = feed.workers[0], feed.ring.cell(0)
            if stopped[worker.process.pid]:
                worker.since_s = 0  # of an answer that was under way
            if (at := cell.at) and at[0] == victim and not stopped[worker.process.pid]:
                os.kill(worker.process.pid, signal.SIGSTOP)
                if (at := cell.at) and at[0] == victim:
                    stopped[worker.process.pid] += 1
                    cell._values[0] -= int((TIMEOUT_S + 1) * 1e9)
                else:  # it was quicker
                    os.kill(worker.process.pid, signal.SIGCONT)

        with beside(hang):
            found = [{name: array.copy() for name, array in batch.arrays.items()} for batch in feed]
    assert bad == {victim: "a feed worker took longer than feed.timeout_s = 200 s at it, 2 times"}
    assert len(stopped) == 2
    assert_same(found, batches(source, range(2), 0, dict(bad)))


def test_killed_at_random_in_the_middle_of_samples_the_batches_are_the_same(make_recipe: Any, videos: Dataset) -> None:
    slow = [{"Resize": {"height": 300, "width": 300}}]  # so that some are caught at it
    source = training(make_recipe("video", **{"augment.train": slow}), videos)
    bad, kills = Bad(), Counter[int]()
    chance = random.Random(0)
    with closing(LocalFeed(source, range(12), 2, TIMEOUT_S, bad)) as feed:

        def kill() -> None:
            worker = chance.choice(feed.workers)
            at = feed.ring.cell(worker.number).at
            if at and kills[at[0]] < 3 and sum(kills.values()) < 20 and (not kills or chance.random() < 0.2):
                kills[at[0]] += 1
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGKILL)

        with beside(kill):
            found = [{name: array.copy() for name, array in batch.arrays.items()} for batch in feed]
    assert sum(kills.values()) > 0
    assert bad == {}
    assert_same(found, batches(source, range(12), 0, {}))


def test_what_other_ranks_found_holds_from_the_checkpoint_on(make_recipe: Any, images: Dataset) -> None:
    source, bad = training(make_recipe("image", **{"data.max_bad": 0.2}), images), Bad()
    with closing(LocalFeed(source, range(9), 2, TIMEOUT_S, bad)) as feed:
        taken = iter(feed)
        found = [{name: array.copy() for name, array in next(taken).arrays.items()} for _ in range(3)]
        until_s = time.monotonic() + 60
        while len(feed.made) < 2 and time.monotonic() < until_s:  # made ahead
            feed._receive(feed.workers[0]) if feed.workers[0].pipe.poll(0.01) else None
        pids = {worker.process.pid for worker in feed.workers}
        feed.apply_bad()
        assert {worker.process.pid for worker in feed.workers} == pids  # nothing new
        bad[int(source.positions(1, 0).sample[0])] = "another rank says so"
        feed.apply_bad()
        found += [{name: array.copy() for name, array in batch.arrays.items()} for batch in taken]
    assert_same(found[:3], batches(source, range(3), 0, {}))
    assert_same(found[3:], batches(source, range(3, 9), 0, dict(bad)))
    assert not np.array_equal(found[3]["sample"], source.positions(1, 0).sample)


def test_bad_samples_can_be_applied_before_the_first_batch(make_recipe: Any, images: Dataset) -> None:
    source, bad = training(make_recipe("image", **{"data.max_bad": 0.2}), images), Bad()
    with closing(LocalFeed(source, range(3), 1, TIMEOUT_S, bad)) as feed:
        bad[int(source.positions(0, 0).sample[0])] = "another rank says so"
        feed.apply_bad()
        found = [{name: array.copy() for name, array in batch.arrays.items()} for batch in feed]
    assert_same(found, batches(source, range(3), 0, dict(bad)))


def cut_off(share: float) -> Callable[[bytes], bytes]:
    """What comes after a share of the file is lost: zeros, since a sample's length in its tar stays."""
    return lambda data: data[: int(share * len(data))] + bytes(len(data) - int(share * len(data)))


def flipped(seed: int) -> Callable[[bytes], bytes]:
    """Sixteen bytes anywhere in the file are others."""

    def change(data: bytes) -> bytes:
        rng, changed = np.random.default_rng(seed), bytearray(data)
        for place in rng.integers(len(data), size=16):
            changed[place] ^= int(rng.integers(1, 256))
        return bytes(changed)

    return change


def test_videos_cut_off_and_flipped_anywhere_cost_themselves_alone(
    make_recipe: Any, videos: Dataset, damaged: Any
) -> None:
    """What decord makes of flipped bytes without an error differs from time to time: only the others are compared."""
    changes = {2 * i: cut_off(i / 8) for i in range(8)} | {16 + i: flipped(i) for i in range(8)}
    recipe = make_recipe("video", **{"data.max_bad": 0.9})
    source, whole, bad = (
        training(recipe, damaged(videos, "train", changes)),
        BatchMaker(training(recipe, videos)),
        Bad(),
    )
    found = batches(source, range(6), 2, bad)
    assert 4 <= len(bad) <= 16
    assert bad.keys() <= changes.keys()
    for batch in found:
        assert batch["weight"].tolist() == [1.0] * 8
    for step, batch in enumerate(found):
        epoch, _ = whole.source.place(step)
        for i, sample in enumerate(batch["sample"].tolist()):
            raw = whole.reader.read(*whole.split.place(sample))
            if sample not in changes:
                assert np.array_equal(batch["pixels"][i], whole.view_maker(raw.data, raw.frames, epoch, sample))
