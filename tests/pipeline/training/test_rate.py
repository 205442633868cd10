from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pipeline.base.errors import ZoetropeError
from pipeline.training.followed import metric_problems
from pipeline.training.rate import Rate

VALUES = [0.1, 0.3, 0.3, 0.30001, 0.2, 0.4, 0.1, 0.1, 0.1, 0.1, 0.41, 0.41, 0.3, 0.2, 0.2, 0.2, 0.2]
UNTIL: dict[str, Any] = {"warmup_until": {"train/top1": 0.2}}


def rate_of(make_recipe: Any, **schedule: Any) -> Rate:
    """Of a training of images of 100 steps, 10 an epoch."""
    return Rate(make_recipe("image", schedule={"kind": "plateau", **schedule}), 10, 100)


@pytest.mark.parametrize(("metric", "mode"), [("val/top1", "max"), ("val/loss", "min")])
@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_is_torchs(make_recipe: Any, metric: str, mode: Any, patience: int) -> None:
    options: dict[str, Any] = {"factor": 0.5, "patience": patience, "threshold": 0.05}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = ReduceLROnPlateau(optimizer, mode=mode, min_lr=0.2, **options)
    ours = rate_of(make_recipe, metric=metric, final=0.2, **options)
    for step, value in enumerate(VALUES, start=1):
        theirs.step(value)
        ours.validated(step, {metric: value})
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert ours.scale < 1


def test_plateau_follows_the_headline_by_default_and_not_in_the_warmup(make_recipe: Any) -> None:
    rate = rate_of(make_recipe, patience=0, warmup="20st", warmup_from=0.5, warmup_shape="constant")
    for done in (5, 10, 15, 20):
        rate.validated(done, {"val/loss": float(done), "val/top1": 0.5})
    assert (rate(19), rate(20)) == (0.5, 1)
    rate.validated(25, {"val/loss": 0.0, "val/top1": 0.5})
    assert rate(25) == pytest.approx(0.1)


def test_a_value_that_is_no_number_is_not_better(make_recipe: Any) -> None:
    rate = rate_of(make_recipe, patience=0)
    for done, value in enumerate([0.5, float("nan"), 0.5], start=1):
        rate.validated(done, {"val/top1": value})
    assert (rate.best, rate(3)) == (0.5, pytest.approx(0.01))


def test_a_warmup_ends_when_the_training_error_is_low(make_recipe: Any) -> None:
    rate = rate_of(make_recipe, kind="step", at=["60st"], **UNTIL)
    assert [rate.planned(step) for step in (0, 59, 60)] == [1, 1, 0.1]
    for done, top1 in ((10, 0.1), (20, 0.19), (30, 0.2), (40, 0.1)):
        rate.trained(done, {"train/top1": top1})
    assert [rate(step) for step in (0, 29, 30, 59, 60)] == [0.1, 0.1, 1, 1, 0.1]


def test_a_warmup_by_its_end_leaves_the_rest_to_the_curve(make_recipe: Any) -> None:
    rate = rate_of(make_recipe, kind="cosine", **UNTIL)
    rate.trained(40, {"train/top1": 0.9})
    assert [rate(step) for step in (39, 40, 70)] == pytest.approx([0.1, 1, 0.5])


def test_a_warmup_by_measurements_is_no_longer_than_its_longest(make_recipe: Any) -> None:
    endless, bounded = (rate_of(make_recipe, kind="constant", **more) for more in (UNTIL, {**UNTIL, "warmup": "20st"}))
    assert (endless(99), bounded(19), bounded(20)) == (0.1, 0.1, 1)
    bounded.trained(30, {"train/top1": 0.9})
    assert bounded(20) == 1


def test_only_what_is_followed_is_kept_and_it_goes_on_from_there(make_recipe: Any) -> None:
    assert rate_of(make_recipe, kind="cosine").parts == {}
    options: dict[str, Any] = {"patience": 1, **UNTIL}
    first, second = rate_of(make_recipe, **options), rate_of(make_recipe, **options)
    first.trained(10, {"train/top1": 0.5})
    for done in (10, 20, 30, 40):
        first.validated(done, {"val/top1": 0.5})
    second.parts["schedule"].load_state_dict(first.parts["schedule"].state_dict())
    assert vars(second).keys() == vars(first).keys()
    assert second.state_dict() == first.state_dict() == {"warmup_end": 10, "scale": 0.1, "best": 0.5, "worse": 1}
    assert [second(step) for step in (5, 45)] == [first(step) for step in (5, 45)]


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ({"metric": "val/top2"}, "schedule.metric: unknown metric 'val/top2'; did you mean 'val/top5' or 'val/top1'"),
        ({"metric": "mIoU"}, "schedule.metric: unknown metric 'mIoU'; known are: val/loss, val/top1, val/top5"),
        ({"warmup_until": {"train/top_1": 0.2}}, "schedule.warmup_until: unknown metric 'train/top_1'; did you mean"),
        (
            {"warmup_until": {"error": 0.2}},
            "schedule.warmup_until: unknown metric 'error'; known are: train/loss, train/top1",
        ),
    ],
)
def test_a_metric_that_is_not_measured_is_refused(make_recipe: Any, schedule: Any, problem: str) -> None:
    recipe = make_recipe("image", schedule={"kind": "plateau", **schedule})
    (found,) = metric_problems(recipe)
    assert found.startswith(problem)
    with pytest.raises(ZoetropeError) as refused:
        Rate(recipe, 10, 100)
    assert str(refused.value) == found


def test_a_threshold_has_no_better_or_worse(make_recipe: Any) -> None:
    detection = {
        "task.kind": "detection",
        "data.source": {"kind": "coco", "path": "/nowhere", "annotations": "/nowhere.json"},
    }
    schedule = {"kind": "plateau", "metric": "val/threshold"}
    recipe = make_recipe("image", **detection, **{"model": {"kind": "ssd_mobilenet_v2"}}, schedule=schedule)
    assert metric_problems(recipe)[0].startswith("schedule.metric: unknown metric 'val/threshold'")


def test_a_metric_that_the_classes_do_not_give_is_refused(make_recipe: Any) -> None:
    rate = rate_of(make_recipe, metric="val/top5")
    with pytest.raises(ZoetropeError, match=r"schedule\.metric: unknown metric 'val/top5'; did you mean 'val/top1'"):
        rate.validated(10, {"val/loss": 1.0, "val/top1": 0.5})


def test_a_warmup_by_measurements_is_constant(make_recipe: Any) -> None:
    with pytest.raises(ZoetropeError, match=r"schedule: warmup_until ends a constant warm-up"):
        rate_of(make_recipe, warmup_shape="gradual", **UNTIL)


def test_biases_and_momentum_are_warmed_up_from_elsewhere(make_recipe: Any) -> None:
    """As of YOLOv5: biases come down from ten times the peak, the momentum grows from 0.8."""
    optimizer = {"kind": "sgd", "lr": 0.01, "momentum": 0.937, "weight_decay": 5e-4}
    warmup = {"warmup": "10st", "warmup_biases": 10.0, "warmup_momentum": 0.8}
    rate = Rate(make_recipe("image", optimizer=optimizer, schedule={"kind": "cosine", **warmup}), 10, 100)
    assert [rate.biases(step) for step in (0, 5, 10, 11)] == [10, 5.5, None, None]
    assert [rate.momentum(step) for step in (0, 5, 10, 50)] == pytest.approx([0.8, 0.8685, 0.937, 0.937])
    plain = rate_of(make_recipe, warmup="10st")
    assert (plain.biases(0), plain.momentum(0)) == (None, None)
    none = rate_of(make_recipe, warmup_biases=10.0, warmup_momentum=0.8)
    assert (none.biases(0), none.momentum(0)) == (None, pytest.approx(0.9))
