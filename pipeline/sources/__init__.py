"""Where samples come from. One file a kind of source, named in SOURCES."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import TypeAdapter

from pipeline.recipe.sources import DrawnSource, OwnSource, Source, WebDatasetSource
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import (
    coco,
    folder,
    frames,
    hmdb51,
    images,
    kinetics,
    mixture,
    something,
    table,
    ucf101,
    webdataset,
)
from pipeline.sources.listing import Listing


class Files(Protocol):
    """The functions of a module for sources that are files; the others draw theirs."""

    def look(self, source: Any, task: TaskSection, val_share: float) -> Listing:
        """List what the source holds, by names alone.

        ZoetropeError, naming the recipe's key, when it cannot be used.
        """

    def digest(self, source: Any) -> str:
        """Compute a hash of that, and of what the files are now: size, time of change or etag."""


SOURCES: dict[str, Files] = {
    "folder": folder,
    "frames": frames,
    "table": table,
    "images": images,
    "coco": coco,
    "kinetics": kinetics,
    "something-something": something,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "mixture": mixture,
}
"""By the kind of a source; a user's own is in its section."""
_SOURCE: TypeAdapter[Any] = TypeAdapter(Source)


def files_of(source: Any) -> Files:
    """Return the functions for a source that is files."""
    own: Any = type(source)  # whose methods take the source first
    return own if isinstance(source, OwnSource) else SOURCES[source.kind]


def digest(values: Mapping[str, Any]) -> str:
    """Compute the digest of a source given as plain values; "" for one that draws its files."""
    source = _SOURCE.validate_python(dict(values))
    if isinstance(source, WebDatasetSource):  # what it holds is not told by names, so it is not among SOURCES
        return webdataset.digest(source)
    return "" if isinstance(source, DrawnSource) else files_of(source).digest(source)
