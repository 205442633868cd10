"""Batches from two actors of a Ray on this machine, against those that this process makes itself."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from safetensors.torch import save_file

from pipeline.base.errors import ZoetropeError
from pipeline.cluster import remote_feed
from pipeline.cluster.feed_actor import Maker
from pipeline.cluster.remote_feed import Actors, RemoteFeed
from pipeline.feed.bad_samples import Bad
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import Feed, LocalFeed
from pipeline.recipe.schema import RemoteFeed as Options
from pipeline.shards.dataset import Dataset
from pipeline.stages.measure import Trained, predict_part
from pipeline.training import checkpoint
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tests.conftest import NO_IMAGE
from tests.pipeline.cluster.test_fit import fitted, tracker
from tests.pipeline.feed.test_bad_samples import crashing, zeros
from tests.processes import family, left_of

pytestmark = pytest.mark.slow
IN_FLIGHT = 3
OPTIONS = Options(kind="remote", actors=2, workers=1, in_flight=IN_FLIGHT)
REMOTE = {"feed": OPTIONS.model_dump()}
Batches = list[tuple[int, dict[str, np.ndarray]]]


def quiet(text: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def _actors(ray_of_two: None) -> Iterator[Actors]:
    with closing(Actors(OPTIONS, quiet, 1)) as made:
        yield made


@pytest.fixture
def actors(_actors: Actors) -> Actors:
    """Two, with a process each, for all tests here; both are there, however long they take to start."""
    while len(_actors.there()) < OPTIONS.actors:
        time.sleep(0.1)
    return _actors


def taken(feed: Any, most: int = 10**6) -> Batches:
    """Copies of the next batches of a feed or of an iterator over one."""
    batches = zip(range(most), feed, strict=False)
    return [(batch.samples, {name: array.copy() for name, array in batch.arrays.items()}) for _, batch in batches]


def made_here(source: BatchSource, steps: range, bad: Bad | None = None) -> Batches:
    with closing(LocalFeed(source, steps, 0, 200.0, {} if bad is None else bad)) as feed:
        return taken(feed)


def assert_same(found: Batches, expected: Batches) -> None:
    assert len(found) == len(expected)
    for (n, arrays), (expected_n, expected_arrays) in zip(found, expected, strict=True):
        assert n == expected_n
        assert arrays.keys() == expected_arrays.keys()
        for name, array in expected_arrays.items():
            assert arrays[name].dtype == array.dtype
            assert np.array_equal(arrays[name], array)


def training(recipe: Any, dataset: Dataset, rank: int = 0, world: int = 1) -> BatchSource:
    return BatchSource(recipe, dataset, "train", rank, world, training=True)


def pid(actor: Any) -> int:
    return int(ray.get(actor.__ray_call__.remote(lambda _: os.getpid())))


# These two before there are the two actors of the others, which take all CPUs.
def test_trained_and_evaluated_as_with_a_local_feed(
    ray_of_two: None, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"mixing": {"kind": "ricap"}, "train.mix_group": 4, "train.checkpoint": "2st"}
    recipe = make_recipe("image", **changes, feed={"kind": "remote", "actors": 1, "workers": 1})
    folder, metrics = fitted(recipe, tmp_path, images, tracker(tmp_path))

    alone = make_recipe("image", **changes)
    expected = train(alone, images, Process(), lambda *_: None, lambda step, state, metrics: state.save(tmp_path))
    assert metrics == pytest.approx(expected)
    weights, found = (checkpoint.final_weights(checkpoint.read(path)) for path in (tmp_path, folder))
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)

    save_file(weights, tmp_path / "weights.safetensors")
    parts = [predict_part([Trained(one, tmp_path / "weights.safetensors")], images) for one in (recipe, alone)]
    assert np.array_equal(parts[0].sample, parts[1].sample)
    assert np.array_equal(parts[0].tally.rows["scores"], parts[1].tally.rows["scores"])


class Dying(Maker):
    """Its process ends before it makes anything."""

    def take(self, *arguments: Any) -> Any:
        os._exit(1)


def test_actors_that_die_again_and_again_are_said(
    make_recipe: Any, images: Dataset, ray_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_feed, "Maker", Dying)
    monkeypatch.setattr(remote_feed, "MOST_LOST", 2)
    options = Options(kind="remote", actors=1, workers=1)
    with closing(Actors(options, quiet, 1)) as made:
        feed: Feed = RemoteFeed(made, training(make_recipe("image", **REMOTE), images), range(3), {})
        with pytest.raises(ZoetropeError, match="actors of the feed were lost 2 times in a row"):
            taken(feed)


@pytest.mark.parametrize("modality", ["image", "video"])
@pytest.mark.parametrize("rank", [0, 1])
def test_batches_are_those_of_a_local_feed(
    make_recipe: Any, request: pytest.FixtureRequest, actors: Actors, modality: str, rank: int
) -> None:
    dataset = request.getfixturevalue(modality + "s")
    source = training(
        make_recipe(modality, **REMOTE, mixing={"kind": "ricap"}, **{"train.mix_group": 4}), dataset, rank, 2
    )
    assert source.layout()["pixels"][1][0] == 4
    with closing(actors.feed(source, range(2, 9), {})) as feed:
        assert_same(taken(feed), made_here(source, range(2, 9)))
        assert feed.waited_s > 0


def test_an_evaluation_in_the_midst_of_a_training(make_recipe: Any, videos: Dataset, actors: Actors) -> None:
    recipe = make_recipe("video", **REMOTE, **{"train.batch_size": 3})
    source, val = training(recipe, videos), BatchSource(recipe, videos, "val", num_clips=2)
    with closing(actors.feed(source, range(8), {})) as feed:
        batches = iter(feed)
        found = taken(batches, 3)
        with closing(actors.feed(val, range(val.steps), {})) as measured:
            assert_same(taken(measured), made_here(val, range(val.steps)))
        assert_same(found + taken(batches), made_here(source, range(8)))
    assert all(ray.get(actor.__ray_call__.remote(lambda maker: len(maker.feeds))) == 0 for actor in actors.started)


def test_no_more_is_made_than_was_asked_for(make_recipe: Any, images: Dataset, actors: Actors) -> None:
    def given(maker: Any) -> int:
        """Batches of its one feed that an actor has handed out."""
        ((_, batches),) = maker.feeds.values()
        at = batches.gi_frame.f_locals
        return int(at["steps"].index(at["step"])) + 1

    with closing(actors.feed(training(make_recipe("image", **REMOTE), images), range(40), {})) as feed:
        batches = iter(feed)
        for count in range(1, 6):
            next(batches)
            # Actors do one thing after the other, so they have made all that they were asked for when they answer this.
            assert sum(ray.get([actor.__ray_call__.remote(given) for actor in actors.started])) == count + IN_FLIGHT - 1


def test_an_actor_that_is_killed_is_replaced_and_its_batches_are_made_again(
    make_recipe: Any, images: Dataset, actors: Actors
) -> None:
    source = training(make_recipe("image", **REMOTE), images)
    with closing(actors.feed(source, range(12), {})) as feed:
        batches = iter(feed)
        found = taken(batches, 2)
        before = {pid(actor) for actor in actors.started}
        begotten = {child.pid for one in before for child in family(one)}
        os.kill(pid(actors.started[1]), signal.SIGKILL)
        found += taken(batches, 4)
        for actor in actors.started:
            ray.kill(actor)
        found += taken(batches)
        assert not before & {pid(actor) for actor in actors.started}
        assert len(actors.started) + len(actors.starting) == 2
    assert_same(found, made_here(source, range(12)))
    assert left_of(before | begotten) == []


def test_bad_samples_and_their_substitutes_are_the_same(
    make_recipe: Any, images: Dataset, damaged: Any, actors: Actors
) -> None:
    source = training(
        make_recipe("image", **REMOTE, **{"data.max_bad": 0.2}), damaged(images, "train", {4: zeros, 20: zeros})
    )
    bad, expected_bad = Bad(), Bad()
    with closing(actors.feed(source, range(6), bad)) as feed:
        assert_same(taken(feed), made_here(source, range(6), expected_bad))
    assert bad == expected_bad == {4: NO_IMAGE, 20: NO_IMAGE}

    strict = training(make_recipe("image", **REMOTE, **{"data.max_bad": 0.04}), source.dataset)
    with (
        closing(actors.feed(strict, range(6), {})) as feed,
        pytest.raises(ZoetropeError, match=r"^2 of 26 samples of the split 'train' in .* cannot be used"),
    ):
        taken(feed)


def test_a_sample_that_crashes_the_decoder_does_not_cost_the_actor(
    make_recipe: Any, videos: Dataset, damaged: Any, actors: Actors
) -> None:
    source = training(make_recipe("video", **REMOTE, **{"data.max_bad": 0.2}), damaged(videos, "train", {7: crashing}))
    bad, before = Bad(), {pid(actor) for actor in actors.started}
    with closing(actors.feed(source, range(6), bad)) as feed:
        found = taken(feed)
    assert list(bad) == [7]
    assert bad[7].startswith("a feed worker died (exit code -")
    assert {pid(actor) for actor in actors.started} == before
    assert_same(found, made_here(source, range(6), dict(bad)))


def test_what_other_ranks_found_holds_from_the_checkpoint_on(make_recipe: Any, images: Dataset, actors: Actors) -> None:
    source, bad = training(make_recipe("image", **REMOTE, **{"data.max_bad": 0.2}), images), Bad()
    with closing(actors.feed(source, range(9), bad)) as feed:
        batches = iter(feed)
        found = taken(batches, 3)
        ahead = list(feed.open)
        feed.apply_bad()
        feed._ask()
        assert list(feed.open)[: len(ahead)] == ahead  # nothing new
        bad[int(source.positions(1, 0).sample[0])] = "another rank says so"
        feed.apply_bad()
        found += taken(batches)
    assert_same(found[:3], made_here(source, range(3)))
    assert_same(found[3:], made_here(source, range(3, 9), dict(bad)))
    assert not np.array_equal(found[3][1]["sample"], source.positions(1, 0).sample)


def test_arrays_are_not_copied(make_recipe: Any, actors: Actors, images: Dataset) -> None:
    recipe = make_recipe(
        "image", **REMOTE, **{"train.batch_size": 24, "augment.train": [{"Resize": {"height": 64, "width": 64}}]}
    )
    with closing(actors.feed(training(recipe, images), range(1), {})) as feed:
        (batch,) = feed
        assert not batch.arrays["pixels"].flags.writeable
        assert not batch.arrays["pixels"].flags.owndata


def test_batches_that_the_object_store_cannot_hold(make_recipe: Any, images: Dataset, actors: Actors) -> None:
    source = training(make_recipe("image", **REMOTE, **{"train.batch_size": 10**9}), images)
    with pytest.raises(ZoetropeError, match=r"need \d+ MiB of Ray's object store .* it has \d+ MiB. Lower feed.in_fl"):
        actors.feed(source, range(1), {})


class Said(Exception):
    """What ends a wait."""


def test_a_wait_for_room_is_said(actors: Actors, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(text: str) -> None:
        raise Said(text)

    monkeypatch.setattr(remote_feed, "START_S", 0.1)
    options = Options(kind="remote", actors=1, workers=64, resource="decode")
    with closing(Actors(options, say, 1)) as made, pytest.raises(Said, match="each takes 64 CPUs and decode of a node"):
        made.there()
