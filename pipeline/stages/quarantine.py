"""The table of samples that cannot be used, and the errors for too many of them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.base.visible import visible
from pipeline.sources.rows import BadRow

QUARANTINE = "quarantine.jsonl"
"""Rows of `BadRow`."""
SHOWN = 5


def check_share(rows: Sequence[BadRow], total: int, max_bad: float, table: Path) -> None:
    """Raise when more than `max_bad` of `total` samples are bad: the first reasons, the whole table, what to do."""
    if len(rows) <= max_bad * total:
        return
    lines = [f"  {visible(row['source'])}: {visible(row['reason'])}" for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append(f"  and {len(rows) - SHOWN} more, see {table}")
    share = math.ceil(1000 * len(rows) / total) / 1000
    leave_out = f", or leave them out: data.max_bad={share:g}" if share < 1 else ""
    raise ZoetropeError(
        f"{len(rows)} of {total} files cannot be used; data.max_bad = {max_bad:g} allows {int(max_bad * total)}:\n"
        + "\n".join(lines)
        + f"\nMend or remove these files{leave_out}."
    )


def check_left(split: str, samples: int, counts: Mapping[str, int], label_sets: bool, table: Path) -> None:
    """Raise when bad samples leave nothing of a split, or of a class in training where each sample has one class.

    samples: how many are left; counts: how many of each class
    """
    lost = [] if label_sets else [name for name, count in counts.items() if count == 0]
    if samples == 0 or (split == "train" and lost):
        what = f"of class {lost[0]!r} can be used" if samples else "can be used"
        raise ZoetropeError(f"no sample {what} in the split {split!r}. The reasons are in {table}: mend these files.")
