"""What a training waits for when there is no room for its workers: Ray says nothing then, however long it is."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.controller.state import (
    InitializingState,
    ReschedulingState,
    ResizingState,
    RestartingState,
    SchedulingState,
)
from ray.util.placement_group import placement_group_table

from pipeline.cluster.capacity import lacking
from pipeline.cluster.resources import takes
from pipeline.recipe import Recipe

WAIT_S = 30.0
"""From when workers are wanted to the first word of it, and between two looks."""
WITHOUT_WORKERS = (InitializingState, SchedulingState, ReschedulingState, RestartingState, ResizingState)


class Waiting(ControllerCallback):
    """Tells once, each time that workers are wanted and find no room, what is wanted and what there is.

    Ray Train's public callbacks hear nothing before there are workers; this one, for developers, does.
    """

    def __init__(self, recipe: Recipe, say: Callable[[str], Any]) -> None:
        """Take `say`, which takes the sentence; both travel to the controller, which calls the rest."""
        self._recipe, self._say = recipe, say
        self._timer: threading.Timer | None = None

    def after_controller_start(self, train_run_context: Any) -> None:
        """Note that the first workers are wanted."""
        self._look_later()

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        """Note that workers are wanted, or there, or not wanted any more."""
        if not isinstance(current_state, WITHOUT_WORKERS):
            if self._timer:
                self._timer.cancel()
            self._timer = None
        elif self._timer is None:
            self._look_later()

    def _look_later(self) -> None:
        self._timer = threading.Timer(WAIT_S, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        if words := wait_words(self._recipe, ray.cluster_resources(), ray.available_resources(), _wanted()):
            self._say(words)
        elif self._timer:  # there is room, and the workers are about to start
            self._look_later()


def wait_words(
    recipe: Recipe,
    there: Mapping[str, float],
    free: Mapping[str, float],
    wanted: list[list[dict[str, float]]],
) -> str:
    """Return what a training without workers waits for; nothing where there is room for them.

    there, free: the cluster's resources, and those that nobody uses, by Ray's names
    wanted:      what each group of workers wants that has not found it yet, a mapping a worker
    """
    each = takes(recipe, there.get("GPU", 0))
    lacks = lacking(recipe, there)
    if not lacks and not any(all(one == each for one in group) for group in wanted):
        return ""
    workers, shown = recipe.cluster.workers.min, " and ".join(f"{value:g} {kind}" for kind, value in each.items())
    has = " and ".join(f"{there.get(kind, 0):g} {kind} ({free.get(kind, 0):g} free)" for kind in each)
    key = "cluster.gpus_per_worker" if "GPU" in lacks else "cluster.workers"
    return (
        f"train: waits for room for {workers} worker{'' if workers == 1 else 's'}, each with {shown}; Ray has {has}. "
        f"It starts when machines join or are free; a smaller {key} needs less"
    )


def _wanted() -> list[list[dict[str, float]]]:
    groups = placement_group_table().values()
    return [list(group["bundles"].values()) for group in groups if group["state"] == "PENDING"]
