import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.space import parse_domain
from pipeline.recipe.tuning import Tune
from tune.journal import Trial
from tune.schedulers import NOBODY, Past, Population, explore, make_scheduler, remember
from tune.trial import EPOCH, VALUE

SPACE = {
    "lr": parse_domain("loguniform(0.01, 1)"),
    "n": parse_domain("randint(0, 5000)"),
    "way": parse_domain("choice(a, b, c)"),
}


def scheduler(**chosen: Any) -> TrialScheduler:
    tune = Tune.model_validate(
        {"metric": "val/top1", "mode": "max", "scheduler": chosen, "space": {"seed": "choice(1)"}}
    )
    made = make_scheduler(tune, lambda length: float(length.amount), 9.0, 0)
    made.set_search_properties(VALUE, "max")
    return made


def told(made: TrialScheduler, past: Any, epoch: float, value: float) -> str:
    nobody: Any = NOBODY
    return made.on_trial_result(nobody, past, {EPOCH: epoch, VALUE: value})


def past(number: int, *values: float) -> Trial:
    results = [{"epoch": epoch, "step": 1, "metrics": {"m": value}} for epoch, value in enumerate(values, 1)]
    return Trial(number, {}, "m", "stopped", results)


def test_kinds() -> None:
    assert type(scheduler(kind="none")) is FIFOScheduler
    assert isinstance(scheduler(kind="asha"), AsyncHyperBandScheduler)
    assert isinstance(scheduler(kind="median"), MedianStoppingRule)
    assert isinstance(scheduler(kind="pbt"), Population)


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_grace_that_no_trial_reaches(kind: str) -> None:
    with pytest.raises(ZoetropeError, match=r"tune.scheduler.grace: 10ep is 10 epochs, and no trial has more than 9"):
        scheduler(kind=kind, grace="10ep")


@pytest.mark.parametrize("kind", [{"kind": "asha", "factor": 2}, {"kind": "median", "others": 3}])
def test_a_search_that_goes_on_stops_what_it_would_have_stopped(kind: dict[str, Any]) -> None:
    nobody: Any = NOBODY
    undisturbed, later = scheduler(**kind), scheduler(**kind)
    for number in range(3):
        one: Any = Past(str(number))
        undisturbed.on_trial_add(nobody, one)
        assert told(undisturbed, one, 1.0, 0.5 + number / 10) == TrialScheduler.CONTINUE
        remember(later, past(number, 0.5 + number / 10), f"ended-{number}")
    for made in (undisturbed, later):
        bad, good = Past("bad"), Past("good")
        for one in (bad, good):
            made.on_trial_add(nobody, one)
        assert told(made, bad, 1.0, 0.1) == TrialScheduler.STOP
        assert told(made, good, 1.0, 0.9) == TrialScheduler.CONTINUE


def test_asha_stops_none_at_its_end() -> None:
    made, one = scheduler(kind="asha"), Past("0")
    made.on_trial_add(NOBODY, one)  # type: ignore[arg-type]
    assert told(made, one, 9.0, 0.0) == TrialScheduler.CONTINUE


@given(st.integers(0, 99), st.floats(0.01, 1), st.integers(0, 5000), st.sampled_from("abc"), st.floats(0, 1))
def test_a_point_stays_in_the_space(count: int, lr: float, n: int, way: str, resample: float) -> None:
    moved = explore(SPACE, {"lr": lr, "n": n, "way": way}, resample, 0, 1, count)
    assert 0.01 <= moved["lr"] <= 1
    assert 0 <= moved["n"] <= 5000
    assert isinstance(moved["n"], int)
    assert moved["way"] in "abc"


def test_a_point_moves_a_step() -> None:
    steps = [explore(SPACE, {"lr": 0.1, "n": 100, "way": "b"}, 0.0, 0, 1, count) for count in range(40)]
    assert {round(point["lr"], 6) for point in steps} == {0.08, 0.12}
    assert {point["n"] for point in steps} == {80, 120}
    assert {point["way"] for point in steps} == {"a", "c"}


def test_a_replaced_trial_keeps_its_number() -> None:
    made = scheduler(kind="pbt")
    assert isinstance(made, Population)
    trial: Any = SimpleNamespace(config={"point": {"number": 3, "values": '{"seed": 1}', "replaced": 0}})
    donor: Any = SimpleNamespace(config={"point": {"number": 5, "values": '{"seed": 1}', "replaced": 2}})
    made._trial_state = _States(4.0)
    point = made._get_new_config(trial, donor)[0]["point"]
    assert point == {"number": 3, "values": '{"seed": 1}', "replaced": 1, "from": 5, "epoch": 4.0}


class Noting(Population):
    """Notes whom a trial is to go on from, and lets it be."""

    handed: list[int]

    def _exploit(self, controller: Any, trial: Any, donor: Any) -> None:
        self.handed.append(donor.config["point"]["number"])


def stands_at(step: int) -> Any:
    """The state of a trial, that others can go on from."""
    return SimpleNamespace(last_result={"step": step}, last_checkpoint="there")


@pytest.mark.parametrize("seed", [0, 1])
def test_the_donor_follows_from_seed_trial_and_step(seed: int) -> None:
    """Whatever Python's global stream says, and in whatever order the better trials stand."""
    trials: list[Any] = [Past(str(number)) for number in range(6)]
    for number, trial in enumerate(trials):
        trial.config = {"point": {"number": number}}

    def donors(trial: Any, state: int, upper: list[Any]) -> list[int]:
        made = Noting(lambda values, number, count: values, 1.0, 0.5, seed)
        made.handed = []
        random.seed(state)
        for step in range(40):
            made._trial_state = {one: stands_at(step) for one in trials}
            made._checkpoint_or_exploit(trial, None, upper, trials[:3])
        return made.handed

    first = donors(trials[0], 0, trials[3:])
    assert first == donors(trials[0], 1, trials[:2:-1])
    assert set(first) == {3, 4, 5}
    assert first != donors(trials[1], 0, trials[3:])


class _States(dict):
    """The state of any trial."""

    def __init__(self, epoch: float) -> None:
        super().__init__()
        self._epoch = epoch

    def __getitem__(self, trial: Any) -> Any:
        return SimpleNamespace(last_result={EPOCH: self._epoch})
