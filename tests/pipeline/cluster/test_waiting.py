from collections.abc import Callable
from typing import Any

import pytest
from ray.train.v2._internal.execution.controller.state import (
    ErroredState,
    InitializingState,
    ReschedulingState,
    RunningState,
    SchedulingState,
)

from pipeline.cluster import waiting
from pipeline.cluster.waiting import Waiting, wait_words
from pipeline.recipe import Recipe

GPUS: dict[str, Any] = {"cluster.workers": 2, "cluster.gpus_per_worker": 1}


def test_a_cluster_that_is_too_small(make_recipe: Callable[..., Recipe]) -> None:
    assert wait_words(make_recipe("image", **GPUS), {"CPU": 8, "GPU": 1}, {"CPU": 7}, []) == (
        "train: waits for room for 2 workers, each with 1 CPU and 1 GPU; Ray has 8 CPU (7 free) and 1 GPU (0 free). "
        "It starts when machines join or are free; a smaller cluster.gpus_per_worker needs less"
    )


def test_a_cluster_that_is_busy(make_recipe: Callable[..., Recipe]) -> None:
    """What it has would do, and somebody else has it: the workers' group is still to be placed."""
    recipe, there, free = make_recipe("image", **{"cluster.workers": 2}), {"CPU": 2}, {"CPU": 1}
    said = wait_words(recipe, there, free, [[{"CPU": 1}, {"CPU": 1}]])
    assert "Ray has 2 CPU (1 free)" in said
    assert said.endswith("a smaller cluster.workers needs less")
    assert wait_words(recipe, there, free, []) == ""  # placed, and their processes start
    assert wait_words(recipe, there, free, [[{"CPU": 4}]]) == ""  # another's group


def test_a_wait_is_told_once_until_there_are_workers(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[Any] = []

    class Timer:
        def __init__(self, after_s: float, call: Callable[[], None]) -> None:
            self.after_s, self.call, self.runs = after_s, call, False
            timers.append(self)

        def start(self) -> None:
            self.runs = True

        def cancel(self) -> None:
            self.runs = False

    monkeypatch.setattr(waiting.threading, "Timer", Timer)
    monkeypatch.setattr(waiting.ray, "cluster_resources", lambda: {"CPU": 2})
    monkeypatch.setattr(waiting.ray, "available_resources", lambda: {"CPU": 2})
    wanted: list[list[dict[str, float]]] = []
    monkeypatch.setattr(waiting, "_wanted", lambda: wanted)
    said: list[str] = []
    watched: Any = Waiting(make_recipe("image"), said.append)
    states: Any = [State.__new__(State) for State in (InitializingState, SchedulingState, ReschedulingState)]

    watched.after_controller_start(None)
    watched.after_controller_state_update(states[0], states[1])
    assert [(timer.after_s, timer.runs) for timer in timers] == [(30.0, True)]
    timers[0].call()  # their processes start slowly
    assert (said, len(timers)) == ([], 2)
    wanted.append([{"CPU": 1}])
    timers[1].call()
    watched.after_controller_state_update(states[1], states[2])
    assert (len(said), len(timers)) == (1, 2)

    watched.after_controller_state_update(states[2], RunningState())
    watched.after_controller_state_update(RunningState(), states[2])  # a worker died
    assert timers[2].runs
    watched.after_controller_state_update(states[2], ErroredState.__new__(ErroredState))
    assert not timers[2].runs
