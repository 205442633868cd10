"""A bounded look at what a source holds: all names, and the headers of some samples."""

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from pydantic import TypeAdapter

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import seed64
from pipeline.draft.values import named_values
from pipeline.recipe.schema import Classes
from pipeline.recipe.sources import Source, WebDatasetSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection, section_of
from pipeline.sources import files_of, webdataset
from pipeline.sources.adopted import read_tar
from pipeline.sources.classes import resolve_classes
from pipeline.sources.listing import NEEDED, Candidate, Listing
from pipeline.sources.masks import masks_of
from pipeline.sources.recognise import Guess, Tree
from pipeline.sources.rows import BadRow, Row
from pipeline.sources.splits import divide, known_test
from pipeline.stages import adopt
from pipeline.stages.headers import probe_chunk

MOST: Mapping[str, int] = {"image": 400, "video": 80}
"""Samples whose headers are read; of pictures whose masks' values are counted, five times as many."""
SECONDS = 20.0
"""After so many no more headers are read."""
CHUNK = 40
TIMEOUT_S = 10.0
"""What one header may take."""
SHARES = (0.2, 0.3, 0.1, 0.4, 0.5)
"""Held out where the source says nothing: a share of each class; of masks, whose classes are not known before they are
decoded, and of what has no labels, the first share that leaves samples on both sides.
"""

_SOURCE: TypeAdapter[Any] = TypeAdapter(Source)


@dataclass(frozen=True)
class Look:
    """What is known of a data set.

    source:  as a recipe says it, completed where the look has shown more
    lost:    classes of which nothing can be used -> what there is of them; data.classes has to leave them out
    listing: what there is; of tars, what the ones that were read hold
    split:   `data.split`; nothing where the source says what is held out
    rows:    what the headers of some samples say
    bad:     those of them that cannot be used
    tars:    how many there are of train, of which the first one was read; 1 of other sources
    """

    guess: Guess
    task: TaskSection
    source: Mapping[str, Any]
    listing: Listing
    split: Mapping[str, Any]
    rows: Sequence[Row]
    bad: Sequence[BadRow]
    lost: Mapping[str, str]
    tars: int = 1
    notes: tuple[str, ...] = ()

    @property
    def train(self) -> int:
        """The number of training samples; of several tars, as many in each as in the first one."""
        return self.tars * sum(one.split == "train" for one in self.listing.candidates)

    def median(self, key: str) -> float:
        """Return the median of what headers say; 0 where none could be read."""
        return median([row[key] for row in self.rows]) if self.rows else 0.0  # type: ignore[literal-required]


def look(tree: Tree, guess: Guess) -> Look:
    """Look at the data that a source has recognised. ZoetropeError for what cannot be used at all."""
    task = section_of(guess.task, **guess.options)
    source = _SOURCE.validate_python(dict(guess.source))
    if isinstance(source, WebDatasetSource):
        return _tars(tree, guess, task, source)
    listing, split, lost = _list(source, task)
    unnamed = any(not masks.values.of for masks in listing.masks.values())
    most = MOST[task.modality] * (5 if unnamed else 1)
    sample = heapq.nsmallest(most, listing.candidates, key=lambda one: (seed64("init", one.key), one.key))
    rows, bad = _probe(task, sample, listing)
    if not unnamed:
        return Look(guess, task, guess.source, listing, split, rows, bad, lost)
    more, notes = named_values(tree, guess.source, rows)
    values = {**guess.source, **more}
    listing, split, lost = _list(_SOURCE.validate_python(values), task)
    return Look(guess, task, values, listing, split, rows, bad, lost, notes=notes)


def _list(source: Any, task: TaskSection) -> tuple[Listing, dict[str, Any], dict[str, str]]:
    """List the samples with their splits; what `data.split` says; and the classes of which nothing can be used."""
    listing = files_of(source).look(source, task, Split())
    there = {label for one in listing.candidates for label in one.labels}
    lost = {name: what for name, what in sorted(listing.lost.items()) if name not in there}
    classes = Classes(keep=listing.classes()) if lost else Classes()
    listing, split = _divided(resolve_classes(listing, classes, task.label_sets))
    return listing if task.label_sets else known_test(listing), split, lost


def _divided(listing: Listing) -> tuple[Listing, dict[str, Any]]:
    """Hold samples out, where the source leaves that open; and say how."""
    if not listing.held_out_by_ratio:
        return listing, {}
    if not listing.masks and any(one.labels for one in listing.candidates):
        return divide(listing, Split(val=SHARES[0], stratify=True)), {"val": SHARES[0], "stratify": True}
    divided = {share: divide(listing, Split(val=share)) for share in SHARES}
    sides = {share: {one.split for one in found.candidates} for share, found in divided.items()}
    best = next((share for share in SHARES if sides[share].issuperset(NEEDED)), SHARES[0])
    return divided[best], {"val": best}


def _probe(task: TaskSection, sample: Sequence[Candidate], listing: Listing) -> tuple[list[Row], list[BadRow]]:
    """Read headers until the time is over."""
    rows: list[Row] = []
    bad: list[BadRow] = []
    began = time.monotonic()
    for first in range(0, len(sample), CHUNK):
        good, wrong = probe_chunk(task.modality, TIMEOUT_S, sample[first : first + CHUNK], listing.masks)
        rows += good
        bad += wrong
        if time.monotonic() - began > SECONDS:
            break
    return rows, bad


def _tars(tree: Tree, guess: Guess, task: TaskSection, source: WebDatasetSource) -> Look:
    """Read the first tar, and the first one of val."""
    named = webdataset.tars(source)
    masks = masks_of(source) if source.members else None
    rows: list[Row] = []
    bad: list[BadRow] = []
    for split, urls in named.items():
        tar = read_tar(urls[0], source, task, TIMEOUT_S, masks)
        if not tar.samples:
            why = f": {tar.bad[0]['reason']}" if tar.bad else ""
            raise ZoetropeError(f"{urls[0]} has no sample that can be used{why}")
        for row in tar.samples:
            row["split"] = split
        rows += tar.samples
        bad += tar.bad
    values, notes = guess.source, tuple[str, ...]()
    if masks and not masks.values.of:
        more, notes = named_values(tree, guess.source, rows)
        values = {**values, **more}
        masks = masks_of(_SOURCE.validate_python(values))
    found = adopt.listing(source, rows)
    if masks:
        order = tuple(name for name in masks.classes if name)
        found = replace(found, class_order=order, masks={"": masks})
    listing, held_out = _divided(found)
    count = len(next(iter(named.values())))
    return Look(guess, task, values, listing, held_out, rows, bad, {}, count, notes)
