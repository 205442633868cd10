"""What MLflow is told of a run beside its numbers: its name, a description, and where it came from."""

import getpass
import shlex
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import cut
from pipeline.base.job import in_job
from pipeline.base.redact import redact
from pipeline.recipe import Recipe
from pipeline.recipe.sources import MixtureSource

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

PLACES = ("store", "tracking", "tune")
"""Sections of the recipe that say nothing of the training."""
SPEED = ("cluster", "feed")
"""Sections that say where and how fast, and nothing of what comes out."""
LONGEST_NAME = 120
MOST_CLASSES = 10
ANYWHERE = frozenset(
    ["images", "videos", "frames", "jpegimages", "data", "train", "training", "val", "validation", "test"]
)
"""Names of folders that say nothing of the data in them."""


@dataclass(frozen=True)
class Typed:
    """What a run was started by: the recipe's path, and changes of it as `key=value`."""

    recipe: str = ""
    changes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line, without secrets."""
        return shlex.join(["python", "-m", "pipeline", "run", self.recipe or "RECIPE", *map(redact, self.changes)])


def run_name(recipe: Recipe, typed: Typed, score: str = "") -> str:
    """Return the score, the recipe's name, and how it was changed: "top-1 71.4%: images optimizer.lr=0.02".

    The score first, as MLflow's lists show some twenty letters of a name.
    """
    aside = (*PLACES, *SPEED, "name")
    changes = [redact(text) for text in typed.changes if text.partition("=")[0].split(".")[0] not in aside]
    return (f"{score}: " if score else "") + cut(" ".join([recipe.name, *changes]), LONGEST_NAME)


def data_name(source: Any) -> str:
    """Return what a recipe's data are called whichever recipe trains on them: their file, folder or kind."""
    if isinstance(source, MixtureSource):
        return "+".join(source.of)
    place = getattr(source, "path", None) or getattr(source, "urls", None)
    place = place[0] if isinstance(place, list) else place
    if not isinstance(place, str):
        return str(source.kind)
    parts = [part for part in PurePath(redact(place).partition("?")[0]).parts if "{" not in part and "*" not in part]
    telling = [part for part in parts if part.lower() not in ANYWHERE and part not in ("/", ".", "..")] or parts
    return PurePath(telling[-1]).stem if telling and telling[-1] != "/" else str(source.kind)


def experiment(recipe: Recipe) -> str:
    """Return the experiment of a run: all runs on the same data lie in one, unless the recipe names another."""
    return recipe.tracking.experiment or data_name(recipe.data.source)


def data_words(dataset: "Dataset") -> str:
    """Return how many samples of which classes there are."""
    splits = ", ".join(f"{split.samples:,} {name}" for name, split in dataset.splits.items())
    classes = dataset.classes
    more = f" and {len(classes) - MOST_CLASSES:,} more" if len(classes) > MOST_CLASSES else ""
    return f"{splits}, {len(classes):,} classes: {', '.join(classes[:MOST_CLASSES])}{more}"


def origin(recipe: Recipe, typed: Typed, git: Mapping[str, Any] | None, machine: str) -> dict[str, str]:
    """Return the tags that say who ran what, of which code, and where; those that MLflow has a place for by its names.

    git: commit and dirty, as manifests have it; machine: what it has, in words
    """
    tags = {
        "mlflow.source.name": redact(typed.recipe) or recipe.name,
        "mlflow.source.type": "JOB" if in_job() else "LOCAL",
        "zoetrope.host": socket.gethostname(),
        "zoetrope.machine": machine,
        "zoetrope.command": typed.command,
    }
    with suppress(OSError, KeyError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    if git:
        tags["mlflow.source.git.commit"] = str(git["commit"])
    return tags


def note(
    recipe: Recipe, tags: Mapping[str, str], git: Mapping[str, Any] | None, record: str, data: str, score: str = ""
) -> str:
    """Return the run's description, Markdown.

    tags: those of `origin`; record: the folder of the run's record; data: `data_words`
    """
    train, optimizer = recipe.train, recipe.optimizer
    trained = f"{recipe.model.kind} for {recipe.task.kind}, {train.duration} in batches of {train.batch_size}"
    rows = {
        "Data": f"{data_name(recipe.data.source)}: {data}",
        "Training": f"{trained}, {optimizer.kind} with a learning rate of {optimizer.lr:g}",
        "Command": f"`{tags['zoetrope.command']}`",
        "Code": f"commit {git['commit']}" + (", changed since" if git["dirty"] else "") if git else "",
        "Machine": f"{tags['zoetrope.host']}: {tags['zoetrope.machine']}",
        "Record": f"`{record}`",
    }
    lines = [f"* **{name}**: {text}" for name, text in rows.items() if text]
    head = [f"**{score}**", ""] if score else []
    again = "The whole recipe is among the artifacts: `python -m pipeline run recipe.yaml` does the same again."
    return "\n".join([*head, *lines, "", again])
