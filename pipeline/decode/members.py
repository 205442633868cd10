"""What rides along with an image or a video: companions, each a member of the shard under an extension of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.decode.instances import objects_of_map, probe_instances, read_instances, store_instances
from pipeline.decode.limits import BadSample
from pipeline.decode.masks import Size, count_mask, probe_mask, read_mask, store_mask
from pipeline.decode.objects import count_objects, probe_objects, read_objects, store_objects
from pipeline.decode.targets import probe_target, read_target, store_target
from pipeline.decode.values import Values


@dataclass(frozen=True)
class Member:
    """A kind of companion. All raise BadSample, whose reason does not name it.

    probe: (file, width, height, values) looks at a header; width and height of its picture, upright, in px
    store: (content, source_size, stored_size, classes, values) -> what is stored, and the pixels or objects of each
           class that it has; sizes are (width, height) of the picture before and after it was made smaller, classes
           their number
    read:  (what is stored or lies in a tar, values) -> arrays
    count: (content, values) checks it wholly and counts the pixels or objects of each value; of those that have values

    values: what the source says that they mean, None where it says nothing
    """

    probe: Callable[[BinaryIO, int, int, Values | None], None]
    store: Callable[[bytes, Size, Size, int, Values | None], tuple[bytes, Mapping[int, int]]]
    read: Callable[[bytes | memoryview, Values | None], Any]
    count: Callable[[bytes, Values], dict[int, int]] | None = None


MEMBERS: dict[str, Member] = {
    "seg.png": Member(probe_mask, store_mask, read_mask, count_mask),
    "inst.png": Member(probe_instances, store_instances, read_instances),
    "objects.json": Member(probe_objects, store_objects, read_objects, count_objects),
    "target.png": Member(probe_target, store_target, read_target),
}
"""By the extension that a companion has in our shards; with a dot, which tells it from an image or a video."""


MAP, OBJECTS = "inst.png", "objects.json"


def content_of(name: str, members: Mapping[str, bytes | memoryview]) -> bytes | memoryview:
    """Return a companion of a sample; objects are those of an instance map, where the sample has one. BadSample."""
    if name == OBJECTS and MAP in members:
        with naming(MAP):
            return objects_of_map(members[MAP], members.get(OBJECTS))
    return members[name]


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Name the companion: a BadSample raised inside says which companion it is of."""
    try:
        yield
    except BadSample as error:
        raise BadSample(f"its {name}: {error.reason}") from error
