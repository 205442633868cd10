import math
from pathlib import Path
from typing import Any

import pytest
import torch

from augment.mixing.batch import draw_batch
from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.training import checkpoint
from pipeline.training.distributed import Process
from pipeline.training.loop import Plan, train
from pipeline.training.model import build_model
from tests.pipeline.tasks.detection.boxed import write_boxed

MIXED = {"mixing": {"kind": "ricap"}, "train.mix_group": 4}


class Stop(Exception):
    """What interrupts a training in these tests."""


class Log:
    """What a training told its surroundings: points by step, and the checkpoints that it wrote."""

    def __init__(self, folder: Path, stop_at: int | None = None) -> None:
        self.folder, self.stop_at = folder, stop_at
        self.points: dict[int, dict[str, float]] = {}
        self.saved: dict[int, dict[str, float]] = {}

    def on_points(self, step: int, total: int, metrics: dict[str, float]) -> None:
        self.points.setdefault(step, {}).update(metrics)

    def on_checkpoint(self, step: int, state: checkpoint.State, metrics: dict[str, float]) -> None:
        self.saved[step] = dict(metrics)
        target = self.folder / str(step)
        target.mkdir(parents=True)
        state.save(target)
        if step == self.stop_at:
            raise Stop

    def state(self, step: int) -> dict[str, Any]:
        return checkpoint.read(self.folder / str(step))


def run(recipe: Recipe, dataset: Dataset, log: Log, resume: Path | None = None) -> dict[str, float]:
    return train(recipe, dataset, Process(), log.on_points, log.on_checkpoint, resume)


def assert_same(a: Any, b: Any) -> None:
    """Equal bit for bit, however deep tensors lie in it."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def test_plan_in_steps(make_recipe: Any) -> None:
    recipe = make_recipe(
        "image",
        **{"train.duration": "90ep", "train.checkpoint": "160sa", "schedule.warmup": "10%", "train.evaluate": "2ep"},
    )
    plan = Plan.of(recipe, 100)
    assert (plan.total, plan.checkpoint_every, plan.evaluate_every) == (9000, 20, 200)
    assert plan.peak_lr == 0.05
    assert plan.lr(899) < plan.lr(900) == 0.05
    short = Plan.of(make_recipe("image", **{"train.duration": "0.1ep", "train.checkpoint": "0.1ep"}), 3)
    assert (short.total, short.checkpoint_every) == (1, 1)
    assert plan.mix_until == 9000  # nothing is mixed, until the end
    closed = make_recipe("image", **{"train.duration": "90ep", "mixing": {"kind": "ricap", "until": "90%"}})
    assert Plan.of(closed, 100).mix_until == 8100


def test_the_end_sees_samples_as_they_are(
    make_recipe: Any, images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[tuple[int, int]] = []

    def spy(mixing: Any, n: int, group: int, height: int, width: int, *key: Any, **more: Any) -> Any:
        places.append(key[2:4])
        return draw_batch(mixing, n, group, height, width, *key, **more)

    monkeypatch.setattr("pipeline.training.objective.draw_batch", spy)
    until = {"mixing": {"kind": "ricap", "until": "4st"}, "train.mix_group": 4, "train.duration": "2ep"}
    run(make_recipe("image", **until), images, Log(tmp_path))
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_a_training_learns_and_reports(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    log = Log(tmp_path)
    recipe = make_recipe("image", **{"train.duration": "8ep", "train.evaluate": "4ep", "train.checkpoint": "10st"})
    metrics = run(recipe, images, log)
    assert metrics["val/top1"] == 1.0
    assert sorted(log.saved) == [10, 20, 24]
    assert sorted(log.points) == [10, 12, 20, 24]
    assert log.points[24]["val/top1"] == 1.0
    assert log.saved[24] == metrics
    assert log.saved[10] == {}
    assert log.points[24]["train/loss"] < log.points[10]["train/loss"]
    assert log.points[10]["epoch"] == pytest.approx(10 / 3)
    assert log.points[10]["lr"] == pytest.approx(Plan.of(recipe, 3).lr(9))
    assert all(0 <= log.points[step]["throughput/data_wait"] <= 1 for step in (10, 20))
    assert all(math.isfinite(value) for point in log.points.values() for value in point.values())


@pytest.mark.parametrize(
    ("modality", "more"),
    [
        ("image", {}),
        ("video", {}),
        ("image", {"train.ema": 0.9, "train.early_stopping": {"patience": 9}, "optimizer": {"kind": "adabound"}}),
        ("image", {"optimizer": {"kind": "rmsprop", "l1": 1e-4}, "schedule": {"kind": "step", "at": ["3st", "60%"]}}),
        ("image", {"schedule": {"kind": "plateau", "patience": 0, "threshold": 9.0}, "train.evaluate": "1st"}),
        ("image", {"schedule": {"kind": "cosine", "warmup_until": {"train/loss": 9.0}}}),
        ("image", {"train.keep": "best", "train.evaluate": "1st", "train.freeze": ["conv1.*", "bn1.*", "layer1.*"]}),
    ],
)
def test_interrupted_and_resumed_is_as_undisturbed_bit_for_bit(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, modality: str, more: dict[str, Any]
) -> None:
    dataset = request.getfixturevalue(modality + "s")
    changes: dict[str, Any] = {"train.checkpoint": "2st", "schedule.warmup": "1st", "model.dropout": 0.5, **MIXED}
    recipe = make_recipe(modality, **{**changes, **more})
    whole, first, second = Log(tmp_path / "a"), Log(tmp_path / "b", stop_at=2), Log(tmp_path / "c")
    run(recipe, dataset, whole)
    with pytest.raises(Stop):
        run(recipe, dataset, first)
    run(recipe, dataset, second, tmp_path / "b" / "2")
    assert sorted(second.saved) == [4, 6]
    assert_same(second.state(6), whole.state(6))
    for step in (4, 6):
        for name in ("train/loss", "train/top1", "lr", "epoch"):
            assert second.points[step][name] == whole.points[step][name]


BOXES = {
    "task": {"kind": "detection"},
    "data": {"source": {"kind": "coco", "path": "/nowhere", "annotations": "/nowhere.json"}},
    "model": {"kind": "ssd_mobilenet_v2", "width_mult": 0.1},
    "augment": {
        "train": [{"RandomIoUCrop": {}}, {"Resize": {"height": 64, "width": 64}}, {"HorizontalFlip": {}}],
        "eval": [{"Resize": {"height": 64, "width": 64}}],
    },
}


YOLO = {
    **BOXES,
    "model": {"kind": "yolov5n"},
    "optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.937, "nesterov": True, "weight_decay": 5e-4},
    "schedule": {"kind": "polynomial", "power": 1, "warmup": "3st", "warmup_biases": 10, "warmup_momentum": 0.8},
    "train.ema": 0.999,
}
MASKS = {
    **BOXES,
    "task": {"kind": "instances"},
    "model": {"kind": "maskrcnn_resnet18_fpn", "width": 8, "channels": 8, "hidden": 16, "rois": 16},
}
RICAP = {"kind": "ricap", "beta": 1.0}


@pytest.mark.parametrize(("options", "way"), [(BOXES, RICAP), (MASKS, RICAP), (YOLO, {"kind": "mosaic"})])
def test_a_detector_is_resumed_as_undisturbed_bit_for_bit(
    make_recipe: Any, tmp_path: Path, options: dict[str, Any], way: dict[str, Any]
) -> None:
    """After two of an epoch's three steps, of several sizes; mosaics, which end behind the fourth."""
    mosaics = {"mixing": {**way, "until": "4st"}, "train.mix_group": 4}
    recipe = make_recipe("image", **options, **mosaics, **{"train.checkpoint": "2st", "train.sizes": [48, 64, 80]})
    dataset = write_boxed(tmp_path / "data", outlined=True)
    whole, first, second = Log(tmp_path / "a"), Log(tmp_path / "b", stop_at=2), Log(tmp_path / "c")
    run(recipe, dataset, whole)
    with pytest.raises(Stop):
        run(recipe, dataset, first)
    run(recipe, dataset, second, tmp_path / "b" / "2")
    assert sorted(second.saved) == [4, 6]
    assert_same(second.state(6), whole.state(6))


def test_a_checkpoint_that_is_asked_for_changes_nothing_else(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    recipe = make_recipe("image", **{"train.duration": "10ep", "train.checkpoint": "12st"})
    calm, asked, resumed = (Log(tmp_path / name) for name in ("calm", "asked", "resumed"))
    run(recipe, images, calm)
    answers = iter([False, True])  # after 10 and 20 steps; after the last one there is one anyway
    train(recipe, images, Process(), asked.on_points, asked.on_checkpoint, asked=lambda: next(answers))
    assert (sorted(calm.saved), sorted(asked.saved)) == ([12, 24, 30], [12, 20, 24, 30])
    assert asked.points.keys() == calm.points.keys()
    assert_same(asked.state(30), calm.state(30))
    run(recipe, images, resumed, tmp_path / "asked" / "20")
    assert_same(resumed.state(30), calm.state(30))


def test_bad_samples_are_in_the_checkpoint_and_it_goes_on_with_them(
    make_recipe: Any, images: Dataset, damaged: Any, tmp_path: Path
) -> None:
    def zeros(data: bytes) -> bytes:
        return bytes(len(data))

    recipe = make_recipe("image", **{"train.checkpoint": "2st", "data.max_bad": 0.2})
    broken = damaged(damaged(images, "val", {2: zeros}), "train", {4: zeros, 20: zeros})
    whole, first, second = Log(tmp_path / "a"), Log(tmp_path / "b", stop_at=2), Log(tmp_path / "c")
    run(recipe, broken, whole)
    assert {split: sorted(bad) for split, bad in whole.state(6)["bad"].items()} == {"train": [4, 20], "val": [2]}
    with pytest.raises(Stop):
        run(recipe, broken, first)
    # A sample that was bad by misfortune stays so. The checkpoint is one of an older version, without a digest.
    unlucky = first.state(2)
    unlucky["bad"]["train"] |= {7: "it took too long"}
    torch.save(unlucky, tmp_path / "b" / "2" / checkpoint.FILE)
    (tmp_path / "b" / "2" / checkpoint.DIGEST).unlink()
    run(recipe, broken, second, tmp_path / "b" / "2")
    assert sorted(second.state(6)["bad"]["train"]) == [4, 7, 20]
    run(recipe, broken, third := Log(tmp_path / "d"), tmp_path / "a" / "2")
    assert_same(third.state(6), whole.state(6))


def test_resumed_at_its_end_nothing_is_done_again(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    recipe = make_recipe("image", **{"train.duration": "1ep"})
    log, again = Log(tmp_path / "a"), Log(tmp_path / "b")
    metrics = run(recipe, images, log)
    assert run(recipe, images, again, tmp_path / "a" / "3") == metrics
    assert (again.points, again.saved) == ({}, {})


def test_feed_workers_do_not_change_a_bit(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    states = []
    for workers in (0, 2):
        log = Log(tmp_path / str(workers))
        run(make_recipe("image", **{"train.duration": "1ep", "feed.workers": workers}), images, log)
        states.append(log.state(3))
    for key in ("model", "optimizer", "metrics"):
        assert_same(states[0][key], states[1][key])


def test_a_kept_last_batch_is_a_step_of_its_own(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    log = Log(tmp_path)
    run(make_recipe("image", **{"train.duration": "1ep", "train.keep_last": True}), images, log)
    assert sorted(log.saved) == [4]


def test_a_diverged_training_stops_before_its_next_checkpoint(
    make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    log = Log(tmp_path)
    recipe = make_recipe("image", **{"optimizer.lr": 1e38, "train.duration": "4ep"})
    with pytest.raises(ZoetropeError, match=r"the loss is (nan|inf) at step \d+: the training has diverged"):
        run(recipe, images, log)
    assert log.saved == {}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns(make_recipe: Any, images: Dataset, tmp_path: Path, precision: str) -> None:
    recipe = make_recipe("image", **{"train.duration": "8ep", "train.evaluate": "8ep", "train.precision": precision})
    assert run(recipe, images, Log(tmp_path))["val/top1"] == 1.0


def test_a_training_starts_from_given_weights(images: Dataset, make_recipe: Any, tmp_path: Path) -> None:
    model = build_model(make_recipe("image"), 3)
    given = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    model.load_state_dict(given, strict=False)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "given.pth")
    changes = {"optimizer.lr": 1e-12, "train.duration": "1st", "model.weights": str(tmp_path / "given.pth")}
    log, said = Log(tmp_path), list[str]()
    train(make_recipe("image", **changes), images, Process(), log.on_points, log.on_checkpoint, say=said.append)
    assert said == [f"train: model.weights: {len(model.state_dict())} loaded"]
    trained = log.state(1)["model"]
    assert all(torch.allclose(trained[name], value) for name, value in given.items())


def test_the_average_is_measured_and_kept(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    plain, averaged = Log(tmp_path / "plain"), Log(tmp_path / "ema")
    without = run(make_recipe("image"), images, plain)
    metrics = run(make_recipe("image", **{"train.ema": 0.99}), images, averaged)
    end = max(averaged.saved)
    assert_same(averaged.state(end)["model"], plain.state(end)["model"])
    final = checkpoint.final_weights(averaged.state(end))
    assert any(not torch.equal(value, averaged.state(end)["model"][name]) for name, value in final.items())
    assert metrics != without


def test_early_stopping_ends_a_training_that_gets_no_better(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    changes = {"train.duration": "20ep", "train.evaluate": "1ep", "train.checkpoint": "20ep", "optimizer.lr": 1e-12}
    recipe = make_recipe("image", **changes, **{"train.early_stopping": {"patience": 2}})
    log, again = Log(tmp_path / "a"), Log(tmp_path / "b")
    metrics = run(recipe, images, log)
    assert sorted(log.saved) == [9]  # the first epoch's of 3 steps is the best, and two more are no better
    assert metrics == {name: log.points[3][name] for name in metrics}
    assert run(recipe, images, again, tmp_path / "a" / "9") == metrics
    assert (again.points, again.saved) == ({}, {})


def test_the_best_or_the_last_weights_are_kept(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    # At first it learns, at a learning rate of 0.05; then that is so high that it forgets, on any machine.
    up = {"kind": "constant", "warmup": "24st", "warmup_shape": "constant", "warmup_from": 0.01}
    changes = {"optimizer.lr": 5.0, "schedule": up, "train.evaluate": "6st"}
    changes |= {"train.duration": "30st", "train.checkpoint": "30st"}
    kept = {}
    for keep in ("best", "last"):
        log = Log(tmp_path / keep)
        metrics = run(make_recipe("image", **changes, **{"train.keep": keep}), images, log)
        kept[keep] = metrics, log.points, log.state(30), checkpoint.final_weights(log.state(30))
    assert kept["best"][1].keys() == kept["last"][1].keys()
    (best, points, state, weights), (last, _, _, last_weights) = kept["best"], kept["last"]
    scores = {step: point["val/top1"] for step, point in points.items() if "val/top1" in point}
    first_best = min(step for step, score in scores.items() if score == max(scores.values()))
    assert first_best < 30
    assert max(scores.values()) > scores[30]
    assert best == {name: points[first_best][name] for name in best}
    assert last == {name: points[30][name] for name in last}
    assert_same(last_weights, state["model"])
    assert any(not torch.equal(value, last_weights[name]) for name, value in weights.items())


def test_a_training_that_ends_early_keeps_the_last_weights_when_asked_to(
    make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    changes = {"train.duration": "20ep", "train.evaluate": "1ep", "train.checkpoint": "20ep", "optimizer.lr": 1e-12}
    recipe = make_recipe("image", **changes, **{"train.early_stopping": {"patience": 2}, "train.keep": "last"})
    log = Log(tmp_path)
    metrics = run(recipe, images, log)
    assert metrics == {name: log.points[9][name] for name in metrics}
    assert_same(checkpoint.final_weights(log.state(9)), log.state(9)["model"])
