"""State dicts inside of what a file holds. Wrappers and prefixes are searched, not listed: they are one thing here.

A tensor is named by the keys on the way to it, with `/` between them: `state_dict/net.conv1.weight`. Whatever such
names begin with, up to a `/` or a `.`, is an entry, `state_dict/net`, which holds the tensors of that mapping whose
names go on from there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from pipeline.base.errors import ZoetropeError, unknown

DEEPEST = 8
MOST_CHARACTERS = 1 << 24
"""Of all names together; those of 100,000 tensors have half of it."""
MOST_PARTS = 8
"""Of a prefix."""


def tensors(content: Any, what: str) -> dict[str, Tensor]:
    """Return all tensors in nested mappings and lists, by their names.

    ZoetropeError where they are nested without end.
    """
    found, characters = {}, 0
    for name, value in _walk(content, "", 1):
        characters += len(name)
        if characters > MOST_CHARACTERS:
            raise ZoetropeError(f"{what} is nested so widely that its names alone have {MOST_CHARACTERS} characters")
        if isinstance(value, Tensor):
            found[name] = value
    return found


def entries(named: Mapping[str, Tensor], fewest: int) -> dict[str, dict[str, Tensor]]:
    """Return what at least `fewest` names begin with, and what they go on with from there; all begin with "".

    The order is that in which they appear, the shorter first.
    """
    starts = {name: _starts(name) for name in named}
    counts = Counter(start for found in starts.values() for start in found)
    inside: dict[str, dict[str, Tensor]] = {start: {} for start, count in counts.items() if count >= fewest}
    for name, tensor in named.items():
        for start in starts[name]:
            if start in inside:
                inside[start][name[len(start) :]] = tensor
    return inside


def within(content: Any, entry: str, what: str) -> dict[str, Tensor]:
    """Return the tensors of one entry. ZoetropeError with the nearest entries when there is none of this name."""
    named = tensors(content, what)
    found = {
        name[len(entry) + 1 :]: tensor for name, tensor in named.items() if name.startswith((f"{entry}/", f"{entry}."))
    }
    if not found:
        known = {name.rpartition("/")[0] or name.partition(".")[0] for name in named}
        raise ZoetropeError(f"{what}: {unknown('entry', entry, known)}")
    return found


def _walk(content: Any, start: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield every value in nested mappings and lists, containers too."""
    is_list = isinstance(content, list | tuple)
    for key, value in content.items() if isinstance(content, Mapping) else enumerate(content if is_list else ()):
        if isinstance(key, str | int):
            yield f"{start}{key}", value
            if depth < DEEPEST:
                yield from _walk(value, f"{start}{key}/", depth + 1)


def _starts(name: str) -> list[str]:
    """Return what a name begins with: the mapping that it stands in, and that with parts of the name itself."""
    mapping, slash, own = name.rpartition("/")
    parts = own.split(".", MOST_PARTS)[:-1]
    return [mapping + slash + "".join(f"{part}." for part in parts[:count]) for count in range(len(parts) + 1)]
