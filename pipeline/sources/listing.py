"""What a source gives to the ingest stage: candidates, files that may become samples."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.decode.values import IGNORED, Values
from pipeline.sources.labels import class_order

SPLITS = ("train", "val", "test")
NEEDED = ("train", "val")
"""A data set may do without `test`; then `val` is what a trained model is measured on."""
SPELT = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "dev", "eval"),
    "test": ("test", "testing"),
}
"""Split -> its names in folders and tables, in lower case."""
SPLIT_OF = {name: split for split, names in SPELT.items() for name in names}


def splits_in(there: Collection[str]) -> list[str]:
    """Return the splits of a data set: train and val, and test where there is one."""
    return [split for split in SPLITS if split in NEEDED or split in there]


@dataclass(frozen=True)
class FrameFolder:
    """A video that lies as one picture a frame: how fast they follow each other, and which files of its folder."""

    fps: float
    pattern: str


@dataclass(frozen=True)
class Candidate:
    """A file that may become a sample.

    key:    its path in the source with forward slashes; of a segment also its times: unique, and the same on any
            machine
    path:   a local path or a URL; with `frames` a folder
    labels: names of its classes; exactly one but for multi-label tasks
    split:  "" where `data.split` decides
    source: name of its source in a mixture
    start_s, end_s: the part of a video that is the sample; None is the video's own start or end
    members: companions, keys of `pipeline.decode.members.MEMBERS` -> the local path or URL of each
    objects: what is in the picture: `objects.json` with names of classes, as `pipeline.sources.things.objects_of` gives
             it
    outlines: what its mask is drawn of: `size` (width and height in px) and `objects`, pairs of a value and a
              segmentation as `pipeline.decode.outlines` takes them
    unit:   what `data.split` draws for, and keeps on one side, where that is not `key`: the file of a segment, a group
    """

    key: str
    path: str
    labels: tuple[str, ...]
    split: str
    start_s: float | None = None
    end_s: float | None = None
    frames: FrameFolder | None = None
    source: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, Any] | None = None
    outlines: Mapping[str, Any] | None = None
    unit: str = ""


@dataclass(frozen=True)
class Masks:
    """What the masks of a source mean.

    classes: their names in order; None for one that is left out
    values:  numbers of classes are places in `classes`; values of nothing where the source does not say it
    """

    classes: tuple[str | None, ...]
    values: Values

    def name(self, value: int) -> str | None:
        """Return the class of a value; None where its pixels do not count, or nothing is said."""
        number = self.values.number(value) if self.values.of else IGNORED
        return None if number == IGNORED else self.classes[number]

    def numbered(self, numbers: Mapping[str, int]) -> Values:
        """Return what the values mean, by the numbers of all classes."""
        return self.values.mapped([IGNORED if name is None else numbers[name] for name in self.classes])


@dataclass(frozen=True)
class Listing:
    """What a source holds, by names alone.

    candidates: sorted by key
    others:     how many of which sort were passed over on purpose
    held_out_by_ratio: False where the source itself says what is val
    where:      the recipe's key and its value, as errors begin
    layout:     what it should hold, as errors end
    own_split:  how the source would say itself what is held out
    refused:    key -> why it cannot be used, of what can be told without opening a file
    missing:    files that annotations name and that are not there; accepted, as far as `max_missing` goes
    class_order: the data set's own numbering of classes, where it has one
    lost:       classes that the source has and of which nothing can be used -> what there is instead, in words
    notes:      what else to say of it, in sentences
    masks:      where samples have masks, what these mean, by the name of the source in a mixture, else ""
    declared:   classes of objects that the source lists: they are classes, too, where nothing is of them
    """

    candidates: list[Candidate]
    others: Counter[str]
    held_out_by_ratio: bool
    where: str
    layout: str
    own_split: str
    refused: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    class_order: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    masks: Mapping[str, Masks] = field(default_factory=dict)
    declared: tuple[str, ...] = ()

    def classes(self) -> list[str]:
        """Return the names of the classes that occur, by their numbers: the data set's own, then `class_order`'s.

        Those of masks are all there: which ones occur is known once these are decoded.
        """
        found = {label for candidate in self.candidates for label in candidate.labels}
        found |= self.mask_classes | {*self.declared}
        own = [name for name in dict.fromkeys(self.class_order) if name in found]
        return own + class_order(found.difference(own))

    @property
    def mask_classes(self) -> set[str]:
        """The names of the masks' classes."""
        return {name for masks in self.masks.values() for name in masks.classes if name is not None}
