"""What rides along with an image or a video: companions, each a member of the shard under an extension of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.decode.limits import BadSample
from pipeline.decode.masks import Size, probe_mask, read_mask, store_mask


@dataclass(frozen=True)
class Member:
    """A kind of companion. All raise BadSample, whose reason does not name it.

    probe: (file, width, height) looks at a header; width and height of its picture, upright, in px
    store: (content, source_size, stored_size, classes) -> what is stored, and the pixels or objects of each class that
           it has; sizes are (width, height) of the picture before and after it was made smaller, classes their number
    read:  what is stored -> arrays
    """

    probe: Callable[[BinaryIO, int, int], None]
    store: Callable[[bytes, Size, Size, int], tuple[bytes, Mapping[int, int]]]
    read: Callable[[bytes | memoryview], Any]


MEMBERS: dict[str, Member] = {"seg.png": Member(probe_mask, store_mask, read_mask)}
"""By the extension that a companion has in our shards; with a dot, which tells it from an image or a video."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Name the companion: a BadSample raised inside says which companion it is of."""
    try:
        yield
    except BadSample as error:
        raise BadSample(f"its {name}: {error.reason}") from error
