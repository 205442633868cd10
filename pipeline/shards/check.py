"""Whether an index fits its tar: both are read wholly, as far as headers go."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.shards.index import ABSENT, ShardIndex
from pipeline.shards.tars import Member, key_and_extension, members

MOST_SHOWN = 3


def misfits(index: ShardIndex, tar: Path, where: str, adopted: bool = False) -> list[str]:
    """Return what does not fit, a sentence each, at most `MOST_SHOWN`: names, places and lengths of members, their
    adjacency.

    The index of an adopted tar need not list all of its members. `where` names the tar.
    """
    try:
        with tar.open("rb") as file:
            found = {name: (member, place) for place, (name, member) in enumerate(_named(members(file, where)))}
    except ZoetropeError as error:
        return [str(error)]
    return list(islice(_compare(index, found, adopted), MOST_SHOWN))


def _named(found: Iterator[Member]) -> Iterator[tuple[tuple[str, str], Member]]:
    for member in found:
        if parts := key_and_extension(member.name):
            yield parts, member


def _compare(index: ShardIndex, found: dict[tuple[str, str], tuple[Member, int]], adopted: bool) -> Iterator[str]:
    counts = Counter(key for key, _ in found)
    for sample, key in enumerate(index.keys):
        places = []
        for column in np.flatnonzero(index.offsets[:, sample] != ABSENT):
            name = (key, index.extensions[column])
            member, place = found.pop(name, (None, 0))
            claimed = int(index.offsets[column, sample]), int(index.lengths[column, sample])
            if member is None:
                yield f"its index names the member {'.'.join(name)}, which is not in the tar"
            elif (member.offset, member.length) != claimed:
                yield (
                    f"its index says that {'.'.join(name)} has {claimed[1]:,} bytes at {claimed[0]:,}, "
                    f"and it has {member.length:,} at {member.offset:,}"
                )
            else:
                places.append(place)
        if places and max(places) - min(places) >= counts[key]:
            yield f"the members of {key} do not follow each other"
    if found and not adopted:
        yield f"the tar has {len(found)} members that its index does not name, such as {'.'.join(next(iter(found)))}"
