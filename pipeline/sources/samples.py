"""The rows of a table put together: one sample a file, or a part of one, however its path is spelt."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.decode.limits import BadSample
from pipeline.sources.labels import meaning
from pipeline.sources.listing import Candidate
from pipeline.sources.path_or_url import is_url
from pipeline.sources.spelling import Found
from pipeline.sources.things import Thing


@dataclass(frozen=True)
class Row:
    """A row that can be used: its number, from 1; `split` and `group` are "" where the table has no such column."""

    number: int
    found: Found
    start_s: float | None
    end_s: float | None
    labels: tuple[str, ...]
    split: str
    group: str = ""
    members: Mapping[str, str] = field(default_factory=dict)
    things: tuple[Thing, ...] | None = None
    """Of a row an object: the object; none where the row says that there is none. None for rows of other samples."""
    size: tuple[int, int] | None = None
    """Width and height of the picture in px, where the row says them."""

    @property
    def sample(self) -> tuple[Any, ...]:
        """Equal for rows of one sample: the file that the path leads to, and which part of it."""
        return self.found.file, self.start_s or 0.0, self.end_s


def together(rows: Iterable[Row], label_sets: bool) -> tuple[list[Candidate], dict[int, str], int]:
    """Return the samples by key; the rows that contradict each other, by number, with why; and how many say the same
    again.

    Where rows of one sample differ in label or split all of them are refused: no one knows which is right. Labels of a
    multi-label task add up.
    """
    samples: dict[tuple[Any, ...], list[Row]] = {}
    keys: dict[tuple[int, int] | str, str] = {}
    for row in rows:
        samples.setdefault(row.sample, []).append(row)
        keys[row.found.file] = min(keys.get(row.found.file, row.found.key), row.found.key, key=_plainest)
    candidates: list[Candidate] = []
    refused: dict[int, str] = {}
    repeated = 0
    for same in samples.values():
        try:
            candidates.append(_candidate(keys[same[0].found.file], same, label_sets))
        except BadSample as error:
            refused |= {row.number: error.reason for row in same}
        else:
            repeated += 0 if label_sets else len(same) - 1
    return sorted(candidates, key=lambda candidate: candidate.key), refused, repeated


def _plainest(key: str) -> tuple[bool, int, str]:
    """Return the order of a spelling: the first one counts, one that is relative to the root and short."""
    return is_url(key) or key.startswith("/"), len(key), key


def _candidate(key: str, rows: list[Row], label_sets: bool) -> Candidate:
    """Return what the rows of one sample say together. BadSample where they contradict each other."""
    first = rows[0]
    labels = {label: row.number for row in reversed(rows) for label in row.labels}
    splits = {row.split: row.number for row in reversed(rows)}
    if not label_sets and len({meaning(label) for label in labels}) > 1:
        raise BadSample(f"{key} has several labels: {_and_where(labels)}")
    if len(splits) > 1:
        raise BadSample(f"{key} stands in several splits: {_and_where(splits)}")
    if len(groups := {row.group: row.number for row in reversed(rows)}) > 1:
        raise BadSample(f"{key} stands in several groups: {_and_where(groups)}")
    for name in first.members:
        if len(paths := {row.members[name]: row.number for row in reversed(rows)}) > 1:
            raise BadSample(f"{key} has several {name}: {_and_where(paths)}")
    unit = first.group or key  # segments of one video go together
    if (first.start_s, first.end_s) != (None, None):
        key = f"{key}#{_time(first.start_s)}-{_time(first.end_s)}"
    if len(sizes := {row.size: row.number for row in reversed(rows)}) > 1:
        raise BadSample(f"{key} has several sizes: {_and_where(sizes)}")
    chosen = sorted(labels) if label_sets else first.labels
    times = (first.start_s, first.end_s)
    return Candidate(key, first.found.path, tuple(chosen), first.split, *times, members=first.members, unit=unit)


def _and_where(numbers: Mapping[Any, int]) -> str:
    """Tell which values there are, each with its first row."""
    return ", ".join(f"{value!r} (row {number})" for value, number in sorted(numbers.items(), key=lambda item: item[1]))


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.6f}".rstrip("0").rstrip(".")
