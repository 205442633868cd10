"""Files of one content: in train and in val, or with two labels. Told by size first, then by a hash of all bytes."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.sources.listing import Candidate

SECONDS = 10.0
"""After so many no more files are read."""


@dataclass(frozen=True)
class Doubles:
    """Groups of samples with one content: those of two splits, those of two labels; whether all were compared."""

    across: tuple[tuple[Candidate, ...], ...]
    torn: tuple[tuple[Candidate, ...], ...]
    whole: bool


def find_doubles(candidates: Sequence[Candidate], sizes: Mapping[str, int], seconds: float = SECONDS) -> Doubles:
    """Find them among files of equal sizes, in a fixed order: groups with both splits first, small files first.

    sizes: key of a candidate -> its bytes; others are left out, and so are parts of videos
    """
    by_size: dict[int, list[Candidate]] = {}
    for one in candidates:
        if sizes.get(one.key) and one.start_s is None and one.end_s is None:
            by_size.setdefault(sizes[one.key], []).append(one)
    groups = sorted((len({one.split for one in same}) == 1, size) for size, same in by_size.items() if same[1:])
    across: list[tuple[Candidate, ...]] = []
    torn: list[tuple[Candidate, ...]] = []
    began = time.monotonic()
    for done, (_, size) in enumerate(groups):
        if time.monotonic() - began > seconds:
            return Doubles(tuple(across), tuple(torn), whole=done == len(groups))
        for same in _equal(by_size[size]):
            if len({one.split for one in same}) > 1:
                across.append(same)
            if len({one.labels for one in same}) > 1:
                torn.append(same)
    return Doubles(tuple(across), tuple(torn), whole=True)


def _equal(candidates: Sequence[Candidate]) -> list[tuple[Candidate, ...]]:
    """Group those whose files have the same bytes; each is read once, and links to one file are one file."""
    found: dict[bytes, list[Candidate]] = {}
    for one in candidates:
        try:
            with Path(one.path).open("rb") as file:
                found.setdefault(hashlib.file_digest(file, "blake2b").digest(), []).append(one)
        except OSError:
            continue
    return [tuple(same) for same in found.values() if same[1:]]
