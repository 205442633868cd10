"""Metric points on the local disk, from the moment they are made until MLflow has them.

`points.jsonl` is only ever appended to, one line a call, each with one write(2): after a kill the last line may be
torn, and a torn line is skipped. `shipped.json` holds, for each MLflow run, the offset up to which that run has all
points; it may lag behind the truth, because MLflow ignores a point that it has already. A run that was created anew
starts at offset 0 and so gets the whole history. Who remembers here which steps were made is the file itself, so it
stays, sent or not, until its training is done.
"""

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POINTS_PER_LINE = 500
POINTS_PER_BATCH = 900  # MLflow takes 1000 in one log_batch
READ_BYTES = 1 << 20
POINTS = "points.jsonl"


@dataclass(frozen=True)
class Point:
    """One value of one metric at one step."""

    key: str
    value: float
    step: int
    time_ms: int
    maker: str = ""
    """Who measured it: what is measured anew of one model has the same steps again."""


class Spool:
    """The points of one training in `folder`. Not thread-safe for appending; reading beside it is fine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / POINTS
        self._mark = folder / "shipped.json"
        self._file = self._path.open("a+b", buffering=0)
        size = os.fstat(self._file.fileno()).st_size
        self._torn = size > 0 and os.pread(self._file.fileno(), 1, size - 1) != b"\n"
        if self._torn:  # ended before it is read: perhaps its line end alone is missing, and it counts
            with contextlib.suppress(OSError):
                self._file.write(b"\n")
                self._torn = False
        self._kept: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for point in self._points_from(0):
            self._kept[point.maker, point.key].add(point.step)

    def append(self, step: int, metrics: dict[str, float], time_ms: int, maker: str = "") -> int:
        """Keep the points that are new and return how many those are. Raises OSError when the disk refuses.

        After a roll-back training repeats steps: a step of a metric that the maker has made already is left out. Steps
        may come in any order, because Ray repeats the calls that a dead actor did not answer in no order.
        """
        fresh = [(key, value) for key, value in metrics.items() if step not in self._kept[maker, key]]
        for start in range(0, len(fresh), POINTS_PER_LINE):
            values = dict(fresh[start : start + POINTS_PER_LINE])
            row = {"step": step, "time_ms": time_ms, "maker": maker, "metrics": values}
            self._append_line(json.dumps(row).encode())
            for key in values:
                self._kept[maker, key].add(step)
        return len(fresh)

    def all(self) -> Iterator[Point]:
        """Yield the points, sent or not."""
        return self._points_from(0)

    def unsent(self, run_id: str | None) -> int:
        """Return how many points this MLflow run does not have yet, by the mark."""
        return sum(1 for _ in self._points_from(self._offset(run_id)))

    def batch(self, run_id: str) -> tuple[list[Point], int]:
        """Return the next points for this run, at most 900, and the offset to mark once they are there."""
        points: list[Point] = []
        end = self._offset(run_id)
        for line, next_offset in self._lines(end):
            more = _parse(line)
            if points and len(points) + len(more) > POINTS_PER_BATCH:
                break
            points += more
            end = next_offset
        return points, end

    def mark(self, run_id: str, offset: int) -> None:
        """Note that this run has every point before `offset`."""
        temporary = self._mark.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(self._marks() | {run_id: offset}))
        os.replace(temporary, self._mark)

    def _append_line(self, line: bytes) -> None:
        # A line end first, when the last line is torn, costs that line alone and not the new one.
        data = (b"\n" if self._torn else b"") + line + b"\n"
        self._torn = True
        written = self._file.write(data)
        if written != len(data):
            raise OSError(f"{self._path}: only {written} of {len(data)} bytes could be written")
        self._torn = False

    def _marks(self) -> dict[str, int]:
        try:
            marks = json.loads(self._mark.read_bytes())
        except (OSError, ValueError):
            return {}
        return marks if isinstance(marks, dict) else {}

    def _offset(self, run_id: str | None) -> int:
        offset = self._marks().get(run_id or "", 0)
        size = os.fstat(self._file.fileno()).st_size
        return offset if isinstance(offset, int) and 0 <= offset <= size else 0

    def _points_from(self, offset: int) -> Iterator[Point]:
        for line, _ in self._lines(offset):
            yield from _parse(line)

    def _lines(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """Read whole lines from `offset` on, each with the offset behind it."""
        rest = b""
        read_at = offset
        while data := os.pread(self._file.fileno(), READ_BYTES, read_at):
            read_at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                offset += len(line) + 1
                yield line, offset


def _parse(line: bytes) -> list[Point]:
    """Parse the points of a line; none when it is torn or not ours."""
    try:
        row = json.loads(line)
        step, time_ms, maker = int(row["step"]), int(row["time_ms"]), str(row.get("maker", ""))
        return [Point(str(key), float(value), step, time_ms, maker) for key, value in row["metrics"].items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
