"""The declaration of a run: stages, what each reads, its fingerprint, and a plan that says what would run and why.

Pure but for reading manifests and sources' listings: no Ray, no stage imported. `pipeline.graph.execute` runs a plan.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.plugins import allowed, package_of, place, renamed
from pipeline.base.redact import redact_values
from pipeline.graph.code_digest import changed_files, code_digests, package_digest
from pipeline.store import Artifact, Parts, Store
from pipeline.store.folder_store import FolderParts

SCHEMA = 1  # of fingerprints: another number makes every artifact anew
MAX_SHOWN = 60  # characters of a value in a reason


@dataclass(frozen=True)
class Stage:
    """One step of a run: a pure function of the recipe keys that it reads and the outputs of other stages.

    `run` names a function, "pipeline.stages.shard:run", imported only where it runs: `run(context) -> facts` (a dict
    that JSON can hold). `keys` are dotted recipe keys, each with all below it; those of `late` are keys, too, and may
    be left out, as keys are that came later (`Section.late`). `outside(values)` gives a digest of what it reads beside
    these (a source's listing); None where that is nothing. `news` says why the version moved last. `retries` counts
    tries after its worker or node died; errors that it raises are never retried.
    """

    name: str
    version: int
    run: str
    keys: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    outside: Callable[[Mapping[str, Any]], str | None] | None = None
    news: str = ""
    num_cpus: float = 0  # 0 for one that starts workers of its own, or it takes their place
    retries: int = 1

    @property
    def module(self) -> str:
        """The module that `run` is in."""
        return self.run.partition(":")[0]


class StageProgress(Protocol):
    """How a stage tells how far it is; cheap, never blocks. `total` is None while unknown."""

    def __call__(self, done: float, total: float | None, note: str = "") -> None:
        """Say that `done` of `total` is done."""

    def say(self, text: str) -> None:
        """Tell the user something once."""


@dataclass(frozen=True)
class Context:
    """What a stage's function is given. It writes into `out`, which is published when it returns.

    `out` and `scratch` are as the last attempt left them when that one was killed: finished parts need not be done
    again. A stage may enter into `sha256s` (relative path -> hex) the files whose digest it knows already. `store` is
    the store's folder on this node.
    """

    recipe: Any
    inputs: dict[str, Artifact]
    out: Path
    scratch: Path
    fingerprint: str
    services: Any
    progress: StageProgress
    store: Path
    sha256s: dict[str, str]
    kept: Parts | None = None
    """The store's parts of this work; without, they are noted in `scratch`."""

    @property
    def parts(self) -> Parts:
        """Finished parts of this stage's work, for it to go on with; tasks on other nodes may finish some."""
        return self.kept or FolderParts(self.out, self.scratch)


class Graph:
    """Stages in an order in which they can run. Raises ZoetropeError for a bad name, an unknown input or a cycle."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        declared = list(stages)
        self.stages: dict[str, Stage] = {stage.name: stage for stage in declared}
        for stage in declared:
            if not re.fullmatch(r"[a-z][a-z0-9_-]*", stage.name):
                raise ZoetropeError(f"stage name {stage.name!r} must be of a-z, 0-9, _ and -: it names a folder.")
            if sum(other.name == stage.name for other in declared) > 1:
                raise ZoetropeError(f"two stages are called {stage.name!r}; rename one.")
            if not re.fullmatch(r"[\w.]+:\w+", stage.run):
                raise ZoetropeError(f"stage {stage.name}: run must be 'module:function', and is {stage.run!r}.")
            for name in stage.inputs:
                if name not in self.stages:
                    raise ZoetropeError(f"stage {stage.name}: " + unknown("input", name, self.stages))
        try:
            order = list(TopologicalSorter({s.name: s.inputs for s in declared}).static_order())
        except CycleError as error:
            raise ZoetropeError(f"stages need each other in a circle: {' <- '.join(error.args[1])}.") from error
        self.order = tuple(self.stages[name] for name in order)


@dataclass(frozen=True)
class Step:
    """What a plan holds for one stage. `fingerprint` is None while an input is still to be made.

    `values`: the recipe values that the stage reads, without secrets; `outside`: digest of what it reads beside them.
    """

    stage: Stage
    action: Literal["reuse", "run"]
    fingerprint: str | None
    artifact: Artifact | None
    reasons: tuple[str, ...]
    note: str | None
    values: dict[str, Any]
    outside: str | None


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which they can run; `rerun` names the stages to make again whatever is there.

    `notes` are lines to show with the plan, of what it is made for.
    """

    steps: tuple[Step, ...]
    rerun: frozenset[str]
    notes: tuple[str, ...] = ()

    @property
    def to_run(self) -> tuple[Step, ...]:
        """The steps that are not reused."""
        return tuple(step for step in self.steps if step.action == "run")


def planned_stages(steps: Iterable[Step]) -> dict[str, dict[str, Any]]:
    """Return what a run's record says of each stage before it starts: its action, fingerprint and reasons."""
    return {
        step.stage.name: {"action": step.action, "fingerprint": step.fingerprint, "reasons": list(step.reasons)}
        for step in steps
    }


def plan(graph: Graph, values: Mapping[str, Any], store: Store, rerun: Iterable[str] = ()) -> Plan:
    """Decide for each stage whether its artifact can be reused, and say why not. `values`: the recipe as plain JSON.

    Reasons are what differs from the most alike of the earlier runs of the same recipe, which is told by its `name`.

    Raises ZoetropeError when `rerun` names no stage.
    """
    again = frozenset(rerun)
    for name in sorted(again):
        if name not in graph.stages:
            raise ZoetropeError(unknown("stage", name, graph.stages))
    steps: dict[str, Step] = {}
    earlier = cache(lambda: _made_or_used(store, values.get("name")))
    for stage in graph.order:
        steps[stage.name] = _step(stage, values, store, steps, stage.name in again, earlier)
    return Plan(tuple(steps.values()), again)


def _made_or_used(store: Store, name: str | None) -> frozenset[str]:
    """Return the fingerprints of what earlier runs of the recipe of this name made or reused."""
    records = [record.content for record in store.records() if record.content.get("name") == name]
    stages = [stage for record in records for stage in record.get("stages", {}).values()]
    return frozenset(stage["fingerprint"] for stage in stages if stage.get("fingerprint"))


def fingerprint(stage: Stage, values: Mapping[str, Any], input_digests: Mapping[str, str], outside: str | None) -> str:
    """Return 32 hex digits over all that goes into a stage. Its inputs count by what came out of them, not by how."""
    parts = [SCHEMA, stage.name, stage.version, values, input_digests, outside]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_values(stage: Stage, values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the values below the stage's keys: {"data.source": {...}, "seed": 0}, without secrets."""
    picked: dict[str, Any] = {}
    for key in (*stage.keys, *stage.late):
        value: Any = values
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                if key in stage.late:
                    break
                raise ZoetropeError(f"stage {stage.name} declares the recipe key {key!r}, which recipes do not have.")
            value = value[part]
        else:
            picked[key] = redact_values(value)
    return picked


def with_code(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put a digest of the code behind each name of a user's own class: "my_package:MyNet, code 01ab..."."""

    def change(name: str) -> str:
        package = package_of(name)
        return f"{name}, code {package_digest(place(package))}" if package in allowed() else name

    found: dict[str, Any] = renamed(values, change)
    return found


def _step(
    stage: Stage,
    values: Mapping[str, Any],
    store: Store,
    before: Mapping[str, Step],
    again: bool,
    earlier: Callable[[], frozenset[str]],
) -> Step:
    own = with_code(read_values(stage, values))
    outside = stage.outside(values) if stage.outside else None
    to_come = [name for name in stage.inputs if before[name].artifact is None]
    digests = {name: artifact.digest for name in stage.inputs if (artifact := before[name].artifact) is not None}
    mark = None if to_come else fingerprint(stage, own, digests, outside)

    def run(*reasons: str) -> Step:
        return Step(stage, "run", mark, None, reasons, None, own, outside)

    if again:
        return run("--rerun")
    if mark is not None and (artifact := store.find(stage.name, mark)) is not None:
        return Step(stage, "reuse", mark, artifact, (), _code_note(stage, artifact), own, outside)
    if mark is not None and (damaged := store.damage(stage.name, mark)):
        return run("files missing or of another size: " + some(damaged))
    # Another recipe in the same store explains nothing.
    manifests = [one for one in store.artifacts(stage.name) if one["fingerprint"] in earlier()]
    if not manifests:
        return run("first run")
    # min keeps the first of equals, and manifests come newest first.
    nearest = min((_differences(m, stage, own, digests, outside) for m in manifests), key=len)
    anew = [f"input {name} will be made anew" for name in to_come]
    return run(*(nearest + anew or ["fingerprints are made in another way since"]))


def _differences(
    manifest: Mapping[str, Any],
    stage: Stage,
    values: Mapping[str, Any],
    digests: Mapping[str, str],
    outside: str | None,
) -> list[str]:
    """Return what is not as it was when the artifact of `manifest` was made, one sentence each."""
    found = []
    if manifest["version"] != stage.version:
        found.append(f"version {manifest['version']} -> {stage.version}" + (f": {stage.news}" if stage.news else ""))
    was, now = dict(leaves(manifest["values"])), dict(leaves(values))
    for key in [*now, *(key for key in was if key not in now)]:
        if key not in was:
            found.append(f"{key} is new: {_show(now[key])}")
        elif key not in now:
            found.append(f"{key} is gone (was {_show(was[key])})")
        elif was[key] != now[key]:
            found.append(f"{key} changed {_show(was[key])} -> {_show(now[key])}")
    inputs = manifest["inputs"]
    found += [f"input {name} is new" for name in stage.inputs if name not in inputs]
    found += [f"input {name} is gone" for name in inputs if name not in stage.inputs]
    found += [f"input {n} changed" for n, digest in digests.items() if n in inputs and inputs[n]["digest"] != digest]
    if manifest["outside"] != outside:
        found.append("source files changed")
    return found


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values below nested mappings with their dotted keys; lists stay whole."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _show(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _code_note(stage: Stage, artifact: Artifact) -> str | None:
    changed = changed_files(artifact.manifest["code"], code_digests(stage.module))
    if not changed:
        return None
    return f"code changed since: {some(changed)} (use --rerun {stage.name} to make it again)"


def some(names: Sequence[str], count: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "")
