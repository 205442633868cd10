import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.feed import cache
from pipeline.feed.batch import BatchSource
from pipeline.feed.laps import STEPS, Laps
from pipeline.feed.rate import measure
from pipeline.shards.dataset import Dataset
from pipeline.store.cache import VARIABLE


def test_laps_add_up_to_the_time_that_went_by() -> None:
    began_s = time.perf_counter()
    laps = Laps(on=True)
    for step in ("read", "decode", "read"):
        time.sleep(0.01)
        laps.lap(step)
    taken = laps.take()
    assert tuple(taken) == STEPS
    assert taken["read"] >= 0.02
    assert taken["decode"] >= 0.01
    assert 0.03 <= sum(taken.values()) <= time.perf_counter() - began_s
    assert sum(laps.take().values()) == 0


def test_nobody_asked() -> None:
    laps = Laps(on=False)
    laps.lap("read")
    assert laps.take() == {}


@pytest.mark.parametrize("workers", [0, 2])
def test_what_takes_long_has_the_largest_share(make_recipe: Any, images: Dataset, workers: int) -> None:
    slow = [{"Resize": {"height": 400, "width": 400}}, {"MedianBlur": {"blur_limit": [7, 7], "p": 1.0}}]
    source = BatchSource(make_recipe("image", **{"augment.train": slow}), images, "train", training=True)
    rate, kept = measure(source, workers, 200.0, 0.2)
    assert kept is None
    assert rate.samples_per_s > 0
    assert rate.batches > 0
    assert tuple(rate.shares) == STEPS
    assert sum(rate.shares.values()) == pytest.approx(1)
    assert all(share >= 0 for share in rate.shares.values())
    assert max(rate.shares, key=lambda step: rate.shares[step]) == "augment"
    assert rate.bad == 0


def test_with_a_cache_there_is_a_rate_of_the_second_epoch(
    make_recipe: Any, images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SHARED", tmp_path / "none")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    source = BatchSource(make_recipe("image", **{"feed.cache": "1MB"}), images, "train", training=True)
    first, kept = measure(source, 1, 200.0, 0.1, pytest.fail)
    assert first.batches <= 2  # of the three of an epoch one is taken before
    assert kept is not None
    assert kept.samples_per_s > 0
    assert sum(kept.shares.values()) == pytest.approx(1)
    assert [path.name for path in (tmp_path / "feed").iterdir()] == ["lock"]
