"""Several sources as one: their listings one after the other, each key behind its source's name."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.sources import MixtureSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.listing import Candidate, Listing, Masks

if TYPE_CHECKING:
    from pipeline.sources import Files


def look(source: MixtureSource, task: TaskSection, split: Split, bands: Bands = RGB) -> Listing:
    """List the candidates of all sources, by name of the source. ZoetropeError, naming the source, when one cannot be
    used.

    Classes are numbered as the first source numbers its own, then those that the second adds, and so on.
    """
    from pipeline.sources import look_at  # this module is one of them

    candidates: list[Candidate] = []
    others: Counter[str] = Counter()
    refused: dict[str, str] = {}
    lost: dict[str, str] = {}
    missing: list[str] = []
    classes: dict[str, None] = {}
    by_ratio = False
    masks: dict[str, Masks] = {}
    declared: dict[str, None] = {}
    notes: list[str] = []
    for name, one in sorted(source.of.items()):
        try:
            listing = look_at(one, task, split, bands)
        except ZoetropeError as error:
            raise _named(name, error) from error
        candidates += [replace(c, key=f"{name}/{c.key}", source=name, unit=c.unit or c.key) for c in listing.candidates]
        others += listing.others
        refused |= {f"{name}/{key}": why for key, why in listing.refused.items()}
        lost |= listing.lost
        missing += [f"{name}/{file}" for file in listing.missing]
        if listing.masks:
            (masks[name],) = listing.masks.values()
        classes |= dict.fromkeys(listing.classes())
        declared |= dict.fromkeys(listing.declared)
        notes += [f"{name}: {note}" for note in listing.notes]
        by_ratio |= listing.held_out_by_ratio
    return Listing(
        candidates,
        others,
        by_ratio,
        where="data.source.of",
        layout="sources that are files",
        own_split="let a source say itself what is held out",
        refused=refused,
        missing=tuple(missing),
        class_order=tuple(classes),
        lost=lost,
        masks=masks,
        declared=tuple(declared),
        notes=tuple(notes),
    )


def check_trained(name: str, candidates: Sequence[Candidate]) -> None:
    """Raise where a source has nothing to train on."""
    if not any(candidate.split == "train" for candidate in candidates):
        raise ZoetropeError(
            f"data.source.of.{name}: has no training sample. Add samples, change data.split.val, or leave it out."
        )


def digest(source: MixtureSource) -> str:
    """Hash the digests of all sources."""
    found = hashlib.sha256()
    for name, one in sorted(source.of.items()):
        try:
            found.update(f"{name}\0{_kind(one).digest(one)}\n".encode())
        except ZoetropeError as error:
            raise _named(name, error) from error
    return found.hexdigest()


def _kind(source: Any) -> "Files":
    from pipeline.sources import files_of  # this module is one of them

    return files_of(source)


def _named(name: str, error: ZoetropeError) -> ZoetropeError:
    return ZoetropeError(f"data.source.of.{name}: {error}")
