"""What the values of masks mean: from the numbers or colours that files hold to the classes of a run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.decode.limits import BadSample

IGNORED = 255
"""The value of stored pixels that are neither trained on nor measured."""
MAX_CLASSES = 255
"""Classes that 8 bits number beside `IGNORED`."""
MOST_VALUES = 1000
"""Different values of one mask; more are a photograph, or a JPEG that was saved as a PNG."""
COLOUR = 1 << 24
"""The bit that tells a colour from a number where a source does not."""
OTHERS = -1
"""In counts, all values to which only `Values.rest` gives a class."""

_Value = Annotated[int, Field(ge=0, lt=COLOUR)]
_Number = Annotated[int, Field(ge=0, le=IGNORED)]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
"""`[H, W]` as a file has them: of 8 or 16 bits, or colours, red << 16 | green << 8 | blue."""


@dataclass(frozen=True)
class Values:
    """What the values of a source's masks mean.

    of:      value -> the number of its class, or `IGNORED`
    colours: whether values are colours; None where that is not known yet: each file says it, and colours have `COLOUR`
    rest:    what every other value means; None: there should be none
    """

    of: Mapping[_Value, _Number]
    colours: bool | None = False
    rest: _Number | None = None

    def mapped(self, numbers: Sequence[int]) -> "Values":
        """Return the same values, whose class number i is `numbers[i]` now."""
        new = {IGNORED: IGNORED, **dict(enumerate(numbers))}
        rest = None if self.rest is None else new[self.rest]
        return replace(self, of={value: new[number] for value, number in self.of.items()}, rest=rest)

    def number(self, value: int) -> int:
        """Return the class of a value as `count` names it. KeyError for one that means nothing."""
        return self.rest if value == OTHERS and self.rest is not None else self.of[value]

    def count(self, pixels: Pixels) -> dict[int, int]:
        """Count the pixels of each value. BadSample for more than `MOST_VALUES`, and for values that mean nothing."""
        if pixels.dtype == np.uint32:
            found, pixels_of = np.unique(pixels, return_counts=True)
        else:
            all_counts = np.bincount(pixels.reshape(-1))
            found = np.flatnonzero(all_counts)
            pixels_of = all_counts[found]
        counts = dict(zip(found.tolist(), pixels_of.tolist(), strict=True))
        outside = {value: count for value, count in counts.items() if value not in self.of}
        if self.rest is not None and outside:
            return {value: n for value, n in counts.items() if value in self.of} | {OTHERS: sum(outside.values())}
        if len(counts) > MOST_VALUES:
            raise BadSample(f"it has {len(counts):,} different values; was it saved as a JPEG once, or is it no mask?")
        if self.of and outside:
            raise BadSample(self._outside(outside))
        return counts

    def classes(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Add up the pixels of each class among `counts`; ignored ones are left out."""
        found: dict[int, int] = {}
        for value, pixels in counts.items():
            if (number := self.number(value)) != IGNORED:
                found[number] = found.get(number, 0) + pixels
        return found

    def look_up(self, pixels: Pixels) -> npt.NDArray[np.uint8]:
        """Look up the class numbers of values, uint8 `[H, W]`; `IGNORED` also for those that mean nothing."""
        return self._table[pixels]

    @cached_property
    def _table(self) -> npt.NDArray[np.uint8]:
        table = np.full(1 << (24 if self.colours else 16), IGNORED if self.rest is None else self.rest, np.uint8)
        for value, number in self.of.items():
            table[value] = number
        return table

    def _outside(self, outside: Mapping[int, int]) -> str:
        value, pixels = max(outside.items(), key=lambda item: item[1])
        more = f" and {len(outside) - 1} more values" if len(outside) > 1 else ""
        known = f"{len(self.of)} colours" if self.colours else spans(self.of)
        kind = "colour" if self.colours else "value"
        return (
            f"it has the {kind} {self.written(value)} in {pixels:,} pixels{more}; data.source.classes and ignore name "
            f"{known}: add it to one of them"
        )

    def written(self, value: int) -> str:
        """Write a value as people do: 7, or 128 0 0."""
        if value == OTHERS:
            return "others"
        return f"{value >> 16 & 255} {value >> 8 & 255} {value & 255}" if self.colours or value & COLOUR else str(value)


def packed(red: int, green: int, blue: int) -> int:
    """Pack a colour into a value."""
    return red << 16 | green << 8 | blue


def spans(values: Iterable[int]) -> str:
    """Numbers in few words: "0 to 10, 13, 255"."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in runs)
