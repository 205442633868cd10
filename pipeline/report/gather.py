"""Find what a report tells: runs by their names, or folders of evaluations, with all that the store still has."""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.job import default_store
from pipeline.report.details import DETAILS, read_details
from pipeline.store import Artifact, Store, open_store
from pipeline.store.record import RECORD, RUNS

RECIPES = (".yaml", ".yml")
RECIPE = "recipe.yaml"
METRICS = "metrics.json"
MOST_ROWS = 1000
"""Of a table that is read for a page."""


@dataclass(frozen=True)
class Told:
    """One run, or an evaluation alone: then there are no artifacts and no record.

    values: the recipe, plain; details: as of `read_details`; measured: the metrics; folder: of the tables
    """

    name: str
    folder: Path
    details: dict[str, Any]
    measured: dict[str, float]
    values: dict[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)

    def facts(self, stage: str) -> dict[str, Any]:
        """What a stage returned."""
        return self.artifacts[stage].facts if stage in self.artifacts else {}

    def table(self, name: str, stage: str = "evaluate") -> list[list[str]]:
        """Return header and rows of a table of the evaluation, at most 1,000; empty where there is none."""
        path = self.file(name, stage)
        return list(read_table(path)) if path else []

    def file(self, name: str, stage: str = "evaluate") -> Path | None:
        """Return the path of a stage's file, fetched where it is not here; None where there is none."""
        if stage not in self.artifacts:
            path = self.folder / name
            return path if stage == "evaluate" and path.is_file() else None
        with suppress(ZoetropeError, OSError):
            path = self.artifacts[stage].file(name)
            return path if path.is_file() else None
        return None


def find(named: str, store_url: str | None = None) -> Told:
    """Find a run by what it is called: its name as `ls` shows it, or that of its recipe, for the newest that was
    evaluated; or by a path: a recipe, a run's folder, or a folder that `evaluate` wrote.

    ZoetropeError when there is none, or none that was evaluated.
    """
    path = Path(named).expanduser()
    if (path / DETAILS).is_file() and path.parent.parent.name != "artifacts":
        return of_folder(path)
    if (path / RECORD).is_file():
        return _of_name(path.name, open_store(path.absolute().parents[1]))
    if named.endswith(RECIPES):
        from pipeline.recipe import load

        recipe = load(named)
        return _of_name(recipe.name, open_store(store_url or recipe.store))
    if "/" in named:
        raise ZoetropeError(f"{named} holds no evaluation; write a run's name, a recipe, or a folder of `evaluate`")
    return _of_name(named, open_store(store_url or default_store()))


def of_folder(folder: Path) -> Told:
    """Read a folder that the verb `evaluate` wrote."""
    return Told(
        folder.resolve().name,
        folder,
        read_details(folder / DETAILS),
        json.loads((folder / METRICS).read_text()),
        _plain(folder / RECIPE),
    )


def of_record(name: str, record: Mapping[str, Any], store: Store) -> Told | None:
    """Gather a run of a store by its record; None when it has no evaluation, or one by code without reports."""
    artifacts = {}
    for stage, facts in record.get("stages", {}).items():
        if (mark := facts.get("fingerprint")) and (artifact := store.find(stage, mark)):
            artifacts[stage] = artifact
    evaluated = artifacts.get("evaluate")
    if evaluated is None or DETAILS not in {row["path"] for row in evaluated.manifest["files"]}:
        return None
    details = read_details(evaluated.file(DETAILS))
    measured = json.loads(evaluated.file(METRICS).read_text())
    values = _plain(store.home / RUNS / name / RECIPE)
    told = Told(name, evaluated.path, details, measured, values, record, artifacts)
    return told if values or (path := told.file(RECIPE, "train")) is None else _with(told, _plain(path))


def read_table(path: Path) -> Iterator[list[str]]:
    """Yield a table's rows as they were given to `write_csv`, the header first."""
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file)):
            if number > MOST_ROWS:
                return
            yield [cell.removeprefix("'") for cell in row]


def _of_name(name: str, store: Store) -> Told:
    records = store.records()
    meant = [record for record in records if name in (record.name, record.content.get("name"))]
    for record in meant:
        if told := of_record(record.name, record.content, store):
            return told
    if meant:
        raise ZoetropeError(
            f"the run {name} has no evaluation that a report can be made of in {store.url}; run it again, with "
            "--rerun evaluate where it was evaluated by an older version"
        )
    names = {one for record in records for one in (record.name, record.content.get("name")) if one}
    raise ZoetropeError(unknown("run", name, names) if names else f"there is no run in {store.url}; --store says where")


def _with(told: Told, values: dict[str, Any]) -> Told:
    return Told(told.name, told.folder, told.details, told.measured, values, told.record, told.artifacts)


def _plain(path: Path) -> dict[str, Any]:
    with suppress(OSError, yaml.YAMLError):
        values = yaml.safe_load(path.read_text())
        return values if isinstance(values, dict) else {}
    return {}
