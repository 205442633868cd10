"""What `model.weights` names: the weights that a training starts from. Light, for a plan asks too."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.official import Official, named, near_words
from models.options.two_stream import flow_kind
from models.source import FILE, WITHIN, is_name, locate
from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe
from pipeline.training.find_model import find_model
from pipeline.training.teacher import digest


@dataclass(frozen=True)
class Start:
    """Weights that a training starts from.

    source: what `models.load_weights` takes; mark: what stands for it in a fingerprint, beside its name
    """

    source: str | Official
    mark: str

    def is_for_others(self, classes: Sequence[str]) -> bool:
        """Tell whether a list of other classes, or of another order, lies beside a file on this machine."""
        if isinstance(self.source, Official) or "://" in self.source:
            return False
        try:
            theirs = json.loads(Path(locate(self.source)[0]).with_name("classes.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(theirs != list(classes))


def find_start(kind: str, weights: str, store_url: str) -> Start:
    """Find what a recipe's `model.weights` says for a model of a kind; of a run the weights are fetched.

    A word is the name of official weights, else a run of the store, see `find_model`. ZoetropeError when there is no
    such thing.
    """
    if "://" in weights:
        return Start(weights, "")
    if is_name(weights):
        return _of_name(kind, weights, store_url)
    if Path(weights).is_dir() and not any((Path(weights) / name / FILE).is_file() for name in WITHIN):
        return _of_model(find_model(weights, store_url, "model.weights"))
    path, _ = locate(weights)
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ZoetropeError(f"model.weights: {path} cannot be read: {error.strerror}") from error
    return Start(weights, f"{status.st_size}-{status.st_mtime_ns}")


def starts(recipe: Recipe) -> list[Start]:
    """Find what a recipe's training starts from: `model.weights`, and `model.flow_weights` of a two-stream model."""
    return [find_start(kind, weights, recipe.store) for kind, weights in asked(recipe.model.model_dump())]


def asked(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (kind of model, weights to start from) that a recipe's plain values of `model` ask for, those of the
    stream of flow last.
    """
    pairs = [(model["kind"], model["weights"])] if model["weights"] else []
    if flow_weights := model.get("flow_weights"):
        pairs.append((flow_kind(model["kind"]), flow_weights))
    return pairs


def fetch_start(recipe: Recipe, say: Callable[[str], None]) -> Path | None:
    """Fetch the weights that a recipe's training starts from, if any, and return their file on this machine.

    Who loads them then finds them there. ZoetropeError as of `find_start`, and for what cannot be fetched.
    """
    from models.weights import local_file

    files = [local_file(start.source, say) for start in starts(recipe)]
    return files[0] if files else None


def _of_name(kind: str, weights: str, store_url: str) -> Start:
    try:
        official = named(kind, weights)
    except ZoetropeError as error:
        raise ZoetropeError(f"model.weights: {error}") from None
    if official:
        return Start(official, official.url)
    try:
        return _of_model(find_model(weights, store_url, others=True))
    except ZoetropeError as error:
        raise ZoetropeError(
            f"model.weights: {weights!r} is no name of official weights; {near_words(kind, weights)} As a run: {error}"
        ) from error


def _of_model(folder: Path) -> Start:
    return Start(str(folder / FILE), digest(folder))
