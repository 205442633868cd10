import os
import shutil
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError
from ray.train import TrainingFailedError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import WorkerGroupError

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.checkpoint_note import COPY, NOTE
from pipeline.cluster.fit import fit, reason
from pipeline.cluster.resources import resources
from pipeline.cluster.tracker import POINTS, send
from pipeline.cluster.tries import SameErrorTwice
from pipeline.graph.plan import Context
from pipeline.graph.progress import Reporter
from pipeline.shards.dataset import Dataset
from pipeline.training import checkpoint
from tests.pipeline.training.test_loop import assert_same


class Points:
    """Stands for a tracker with a slow disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[tuple[int, dict[str, float]]] = []

    def points(self, step: int, metrics: dict[str, float]) -> None:
        time.sleep(0.3)
        (self.folder / f"points-{step}").touch()
        self.all.append((step, metrics))

    def taken(self) -> list[tuple[int, dict[str, float]]]:
        return self.all


def tracker(folder: Path) -> Any:
    remote: Any = ray.remote
    return remote(num_cpus=0, concurrency_groups={POINTS: 1})(Points).remote(folder)


def context(recipe: Any, folder: Path) -> Context:
    (folder / "scratch").mkdir(exist_ok=True)
    return Context(recipe, {}, folder, folder / "scratch", "f" * 32, None, Reporter("train"), folder, {})


def fitted(recipe: Any, folder: Path, dataset: Dataset, points: Any) -> tuple[Path, dict[str, float]]:
    made, metrics = fit(context(recipe, folder), dataset, partial(send, points))
    return Path(made.path), metrics


@pytest.fixture(scope="module")
def trained(
    ray_of_two: None, make_recipe: Any, images: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, dict[str, float], list[tuple[int, dict[str, float]]]]:
    """A training of 6 steps with checkpoints at 2, 4 and 6, to be copied: its folder, the last checkpoint's place in
    it, its metrics, and its points.
    """
    folder = tmp_path_factory.mktemp("trained")
    points = tracker(folder)
    recipe = make_recipe("image", **{"train.checkpoint": "2st", "cluster.max_failures": 1000})
    made, metrics = fitted(recipe, folder, images, points)
    return folder, str(made.relative_to(folder)), metrics, ray.get(points.taken.remote())


@pytest.fixture
def copied(trained: Any, tmp_path: Path) -> Path:
    """A copy of `trained` in `tmp_path`: its last checkpoint."""
    folder, last, *_ = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / str(last)


def test_fits_and_goes_on_from_its_last_checkpoint(
    trained: Any, copied: Path, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    recipe = make_recipe("image", **{"train.checkpoint": "2st"})
    folder, (_, _, metrics, taken) = copied, trained
    assert checkpoint.read(folder)["step"] == 6
    assert metrics == checkpoint.read(folder)["metrics"]
    assert [step for step, values in taken if "train/loss" in values] == [2, 4, 6]
    assert [step for step, values in taken if "val/top1" in values] == [3, 6]
    assert [path.name for path in sorted(folder.parent.glob("step-*"))] == [
        "step-000000004-of-1",
        "step-000000006-of-1",
    ]

    for saved in folder.parent.glob("step-*"):  # what comes before a checkpoint is on disk before it
        spooled = tmp_path / f"points-{checkpoint.read(saved)['step']}"
        assert spooled.stat().st_mtime_ns <= (saved / checkpoint.FILE).stat().st_mtime_ns  # clocks tick

    # As a killed driver leaves it, all done and not yet published: nothing is done or written again.
    written = (folder / checkpoint.FILE).stat().st_mtime_ns
    points = tracker(tmp_path)
    assert fitted(recipe, tmp_path, images, points) == (folder, metrics)
    assert (folder / checkpoint.FILE).stat().st_mtime_ns == written
    assert ray.get(points.taken.remote()) == []


class Late:
    """Stands for a tracker that keeps the points before the first checkpoint only when later ones are here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.later = threading.Event()
        self.written = 0

    def points(self, step: int, metrics: dict[str, float]) -> None:
        if step == 2:
            self.later.wait(120)
        elif not self.later.is_set():
            self.written = len(list(self.folder.rglob(checkpoint.FILE)))
            self.later.set()

    def written_before_later_points(self) -> int:
        return self.written if self.later.is_set() else -1


@pytest.mark.slow
def test_trains_on_while_a_checkpoint_is_written(
    ray_of_two: None, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    remote: Any = ray.remote
    late = remote(num_cpus=0, concurrency_groups={POINTS: 9})(Late).remote(tmp_path)
    recipe = make_recipe("image", **{"train.checkpoint": "2st"})
    folder, metrics = fitted(recipe, tmp_path, images, late)
    assert ray.get(late.written_before_later_points.remote()) == 0
    assert checkpoint.read(folder)["metrics"] == metrics
    assert [path.name for path in sorted(folder.parent.glob("step-*"))] == [
        "step-000000004-of-1",
        "step-000000006-of-1",
    ]
    assert checkpoint.read(folder.parent / "step-000000004-of-1")["step"] == 4


def test_an_error_that_comes_again_ends_the_training_at_once(
    ray_of_two: None, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    """With so many retries this would last an hour."""
    recipe = make_recipe("image", **{"optimizer.lr": 1e38, "train.duration": "9ep", "cluster.max_failures": 1000})
    points = tracker(tmp_path)
    with pytest.raises(ZoetropeError, match="the training has diverged"):
        fit(context(recipe, tmp_path), images, partial(send, points))


def broken_send(step: int, metrics: dict[str, float]) -> None:
    raise ValueError("it cannot be sent")


@pytest.mark.slow
def test_an_error_that_came_twice_at_one_step_ends_the_training(
    ray_of_two: None, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    recipe = make_recipe("image", **{"train.checkpoint": "2st", "cluster.max_failures": 1000})
    with pytest.raises(SameErrorTwice, match="after 2 steps, with no checkpoint in between: ValueError") as caught:
        fit(context(recipe, tmp_path), images, broken_send)
    assert "in broken_send" in "".join(traceback.format_exception(caught.value))


@pytest.mark.slow
def test_goes_on_when_the_note_of_its_checkpoints_was_cut_off(
    copied: Path, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    """As by a kill in the instant in which Ray Train writes it; and likewise by one in the first such instant."""
    folder, points = copied, tracker(tmp_path)
    note, copy = folder.parent / NOTE, folder.parent / COPY
    longer = make_recipe("image", **{"train.checkpoint": "2st", "train.duration": "3ep"})
    os.truncate(note, 30)
    fitted(longer, tmp_path, images, points)
    added = ray.get(points.taken.remote())
    assert [step for step, values in added if "train/loss" in values] == [8, 9]

    os.truncate(note, 0)
    copy.unlink()
    assert fitted(longer, tmp_path, images, points)[0].name == "step-000000009-of-1"
    anew = ray.get(points.taken.remote())[len(added) :]
    assert [step for step, values in anew if "train/loss" in values] == [2, 4, 6, 8, 9]


@pytest.mark.slow
def test_goes_on_from_the_checkpoint_before_a_damaged_one(
    trained: Any, copied: Path, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    recipe = make_recipe("image", **{"train.checkpoint": "2st", "cluster.max_failures": 1000})
    folder, metrics, points = copied, trained[2], tracker(tmp_path)
    expected = checkpoint.read(folder)
    os.truncate(folder / checkpoint.FILE, 1000)
    again, measured = fitted(recipe, tmp_path, images, points)
    assert (again.name, measured) == (f"{folder.name}-again", metrics)
    assert_same(checkpoint.read(again), expected)
    assert [step for step, values in ray.get(points.taken.remote()) if "train/loss" in values] == [6]

    shutil.rmtree(folder)  # and the other one, flipped
    with (again / checkpoint.FILE).open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(
        ZoetropeError, match=r"checkpoint.pt: cannot be read as a checkpoint .*--rerun train` trains from"
    ):
        fit(context(recipe, tmp_path), images, partial(send, points))
    shutil.rmtree(tmp_path / "scratch")


@pytest.mark.slow
def test_a_full_disk_is_said_at_once(ray_of_two: None, make_recipe: Any, images: Dataset, tiny_disk: Path) -> None:
    recipe = make_recipe("image", **{"store": str(tiny_disk), "cluster.max_failures": 1000, "model.width": 16})
    points = tracker(tiny_disk)
    with pytest.raises(ZoetropeError, match=rf"cannot write to the store {tiny_disk}.*: no space is left on it"):
        fit(context(recipe, tiny_disk), images, partial(send, points))


@pytest.mark.slow
def test_a_flipped_shard_ends_the_training(
    ray_of_two: None, make_recipe: Any, images: Dataset, damaged: Any, tmp_path: Path
) -> None:
    broken = damaged(images, "train", {20: lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]})
    recipe, points = make_recipe("image", **{"cluster.max_failures": 1000}), tracker(tmp_path)
    with pytest.raises(ZoetropeError, match=r"train/shard-000001\.tar: this file is damaged .*--rerun shard"):
        fit(context(recipe, tmp_path), broken, partial(send, points))


def failed(failures: dict[int, Exception]) -> TrainingFailedError:
    error: Any = WorkerGroupError("", failures)  # mypy sees two classes of one name
    return error


def test_reasons_by_weight() -> None:
    closed = RuntimeError("connection closed by peer\nmore")
    died = WorkerHealthCheckFailedError("no answer", failure=ActorDiedError())
    own = ZoetropeError("the loss is nan")
    assert reason(failed({0: closed, 1: died, 2: own}), 3) is own
    dead = reason(failed({0: closed, 1: died}), 3)
    assert isinstance(dead, ZoetropeError)
    assert str(dead).startswith("training worker 1 died")
    assert "cluster.max_failures = 3" in str(dead)
    other = reason(failed({4: closed}), 3)
    assert not isinstance(other, ZoetropeError)  # a bug: its traceback goes to the log
    assert str(other) == "training worker 4 failed before its first step: RuntimeError: connection closed by peer"


def test_resources_of_a_worker(ray_of_two: None, make_recipe: Any) -> None:
    assert resources(make_recipe("image", **{"cluster.cpus_per_worker": 0.5})) == {"CPU": 0.5}
    assert resources(make_recipe("image", **{"cluster.gpus_per_worker": 0.25})) == {"CPU": 1.0, "GPU": 0.25}
