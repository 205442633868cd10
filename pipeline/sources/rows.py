"""The rows that go from ingest to shard: what `samples.jsonl` and `quarantine.jsonl` hold of a sample."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class Row(TypedDict):
    """A sample that can be used. Which keys there are depends on where it lies; one without a value is left out.

    key:           unique in the source, and the same on any machine
    width, height: px, as in the header; of an image upright
    frames:        of a video an estimate; 1 of an image
    """

    key: str
    width: int
    height: int
    frames: int

    split: NotRequired[str]
    classes: NotRequired[tuple[str, ...]]
    """Names of its classes, until these are numbered."""
    label: NotRequired[int | list[int]]
    """The number of its class; in a multi-label task those of all its classes, ascending."""

    # Of a file, a part of one or a folder of frames:
    path: NotRequired[str]
    """A local path, relative to the artifact where ingest drew the file, or a URL."""
    fps: NotRequired[float]
    duration_s: NotRequired[float]
    bytes: NotRequired[int]
    start_s: NotRequired[float | None]
    end_s: NotRequired[float | None]
    source: NotRequired[str]
    """Name of its source in a mixture."""
    frame_folder: NotRequired[dict[str, Any]]
    """`FrameFolder`'s fields."""
    members: NotRequired[dict[str, str]]
    """Companion -> its path, as `path`."""
    objects: NotRequired[dict[str, Any]]
    """The companion `objects.json`, with names of classes until these are numbered."""
    settled: NotRequired[tuple[dict[str, int], list[str], str | None]]
    """Of its objects, what was left out, and what their numbers may be, until this is told."""
    outlines: NotRequired[dict[str, Any]]
    """What the companion `seg.png` is drawn of."""
    values: NotRequired[dict[int, int]]
    """The pixels of each value of its mask, until these are counted."""
    amounts: NotRequired[dict[str, int]]
    """Of an adopted tar's: class number -> its pixels."""

    # Of a member of an adopted tar:
    name: NotRequired[str]
    """Its key in the tar."""
    extension: NotRequired[str]
    offset: NotRequired[int]
    length: NotRequired[int]
    """Of the image or video in the tar, in bytes."""
    companions: NotRequired[dict[str, tuple[int, int]]]
    """Extension of a companion in the tar -> its offset and length."""
    tar: NotRequired[int]
    """Number of the tar, its row in `tars.jsonl`."""


def number_classes(row: Row, numbers: Mapping[str, int], label_sets: bool) -> None:
    """Put the label of a row, by `numbers`, in the place of the names of its classes."""
    label = sorted(numbers[name] for name in row.pop("classes"))
    if "objects" in row:
        row["objects"]["classes"] = [numbers[name] for name in row["objects"]["classes"]]
    row["label"] = label if label_sets else label[0]


def label_of(row: Row) -> int | tuple[int, ...]:
    """Return the label as shards hold it: a class number, or all of them."""
    label = row["label"]
    return tuple(label) if isinstance(label, list) else label


class BadRow(TypedDict):
    """A sample that cannot be used: its key in the source, the stage that found out, and the reason in words."""

    source: str
    stage: str
    reason: str
