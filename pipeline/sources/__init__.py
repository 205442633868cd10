"""Where samples come from. One file a kind of source, named in SOURCES."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from pydantic import TypeAdapter

from pipeline.base.bands import RGB, Bands
from pipeline.recipe.sources import DrawnSource, OwnSource, Source, WebDatasetSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import (
    activitynet,
    charades,
    class_folders,
    coco,
    cvat,
    diving48,
    frames,
    hmdb51,
    images,
    kinetics,
    labelme,
    lsp,
    mixture,
    mpii,
    something,
    table,
    ucf101,
    voc,
    webdataset,
    yolo,
)
from pipeline.sources.listing import Listing


class Files(Protocol):
    """The functions of a module for sources that are files; the others draw theirs."""

    def look(self, source: Any, task: TaskSection, split: Split) -> Listing:
        """List what the source holds, by names alone; `pipeline.sources.splits` then holds out what it leaves open.

        ZoetropeError, naming the recipe's key, when it cannot be used.
        """

    def digest(self, source: Any) -> str:
        """Compute a hash of that, and of what the files are now: size, time of change or etag."""


class _Own:
    """The functions of a user's own source, which knows no keys of `data.split` but `val`."""

    @staticmethod
    def look(source: OwnSource, task: TaskSection, split: Split) -> Listing:
        """List what it holds; what it held out by `val` alone is left open where other keys are set."""
        listing: Listing = source.look(task, split.val)
        if not (listing.held_out_by_ratio and split.asked):
            return listing
        left = [one if one.split == "test" else replace(one, split="") for one in listing.candidates]
        return replace(listing, candidates=left)

    @staticmethod
    def digest(source: OwnSource) -> str:
        """Ask for its digest."""
        return source.digest()


SOURCES: dict[str, Files] = {
    "folder": class_folders,
    "frames": frames,
    "table": table,
    "images": images,
    "coco": coco,
    "voc": voc,
    "yolo": yolo,
    "labelme": labelme,
    "cvat": cvat,
    "lsp": lsp,
    "mpii": mpii,
    "kinetics": kinetics,
    "something-something": something,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "jester": something,
    "diving48": diving48,
    "charades": charades,
    "activitynet": activitynet,
    "mixture": mixture,
}
"""By the kind of a source; a user's own is in its section."""
_SOURCE: TypeAdapter[Any] = TypeAdapter(Source)


OF_ARRAYS: dict[str, Callable[..., Listing]] = {
    "folder": class_folders.look,
    "images": images.look,
    "mixture": mixture.look,
}
"""By the kind of a source that looks through folders for pictures, which may be arrays: `.npy`."""


def look_at(source: Any, task: TaskSection, split: Split, bands: Bands = RGB) -> Listing:
    """List what a source of files holds whose pictures have these channels and bits. Errors as of `Files.look`."""
    if not bands.as_files and (look := OF_ARRAYS.get(getattr(source, "kind", ""))):
        return look(source, task, split, bands)
    return files_of(source).look(source, task, split)


def files_of(source: Any) -> Files:
    """Return the functions for a source that is files."""
    return _Own() if isinstance(source, OwnSource) else SOURCES[source.kind]


def digest(values: Mapping[str, Any]) -> str:
    """Compute the digest of a source given as plain values; "" for one that draws its files."""
    source = _SOURCE.validate_python(dict(values))
    if isinstance(source, WebDatasetSource):  # what it holds is not told by names, so it is not among SOURCES
        return webdataset.digest(source)
    return "" if isinstance(source, DrawnSource) else files_of(source).digest(source)
