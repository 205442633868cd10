"""A run from Python and a notebook: what `import pipeline` offers. Loaded when the first of it is asked for."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline.base.terminal import Terminal
from pipeline.recipe import load
from pipeline.verbs.planning import check_start, make_plan, warnings

if TYPE_CHECKING:
    from pipeline.exported.model import Model


@dataclass(frozen=True)
class Step:
    """A stage of a plan: "run" or "reuse", and why."""

    stage: str
    action: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """What a run would do; `notes` tell of the data, `warnings` of what to beware of."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def to_run(self) -> tuple[str, ...]:
        """The stages that have something to do."""
        return tuple(step.stage for step in self.steps if step.action == "run")


@dataclass(frozen=True)
class Ran:
    """What a run made.

    metrics: of the evaluation, by name
    folders: the artifact of each stage, a folder or a URL
    model:   what `load_model` takes: the fingerprint of the export
    store:   where it is
    """

    metrics: dict[str, float]
    folders: dict[str, str]
    model: str
    store: str

    def load(self, **options: Any) -> "Model":
        """Load its model, see `load_model`."""
        return load_model(self.model, store=self.store, **options)


def plan(recipe: str | Path, rerun: Iterable[str] = (), **changes: Any) -> Planned:
    """Tell which stages `run` would run, and why. Nothing is started. Arguments and errors as of `run`."""
    checked = load(recipe, _overrides(changes))
    planned, _ = make_plan(checked, rerun)
    steps = tuple(Step(step.stage.name, step.action, tuple(step.reasons)) for step in planned.steps)
    return Planned(steps, planned.notes, tuple(warnings(checked, planned)))


def run(recipe: str | Path, rerun: Iterable[str] = (), quiet: bool = False, **changes: Any) -> Ran:
    """Run the stages of a recipe that have something to do, and track the result in MLflow.

    changes: of the recipe's keys: `train={"duration": "10ep"}`, or `**{"train.duration": "10ep"}`
    rerun:   stages to make again whatever is there
    quiet:   whether to print nothing on the way

    Raises ZoetropeError, whose text is what the command line would say.
    """
    from pipeline.cluster.described import Typed
    from pipeline.verbs.driver import drive

    typed = Typed(str(recipe), _overrides(changes))
    checked = load(recipe, typed.changes)
    planned, store = make_plan(checked, rerun)
    check_start(checked, planned)
    artifacts = {step.stage.name: step.artifact for step in planned.steps if step.artifact}
    if planned.to_run:
        with open(os.devnull, "w") as nowhere:
            console = Console(file=nowhere) if quiet else Terminal()
            artifacts = {result.stage: result.artifact for result in drive(checked, planned, store, console, typed)}
    folders = {stage: artifact.url for stage, artifact in artifacts.items()}
    metrics = {name: value for name, value in artifacts["evaluate"].facts.items() if isinstance(value, float)}
    return Ran(metrics, folders, artifacts["export"].fingerprint, store.url)


def load_model(name: str | Path, *others: str | Path, **options: Any) -> "Model":
    """Load a trained model to predict with, see `pipeline.exported.model.load_model`."""
    from pipeline.exported.model import load_model

    return load_model(str(name), *map(str, others), **options)


def _overrides(changes: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{key}={json.dumps(value)}" for key, value in _dotted(changes))


def _dotted(changes: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield changes as the command line has them: `train.duration` for what stands in a mapping of a mapping."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and "kind" not in value:
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", os.fspath(value) if isinstance(value, Path) else value
