"""Which channels of a frame come from which other frame, as plain numbers: the arithmetic of the temporal shift."""

from typing import Literal

Direction = Literal["both", "past"]
# (offset, first, last): channels [first, last) of frame t come from frame t + offset of the same clip, and are zeros
# beyond its ends. Every channel is listed once; those that stay (offset 0) come last.
Moves = tuple[tuple[int, int, int], ...]


def shift_moves(channels: int, divisor: int, direction: Direction) -> Moves:
    """Return the moves of a shift, with fold = channels // divisor; empty when nothing moves.

    "both" (the paper's offline TSM): [0, fold) take the next frame, [fold, 2*fold) the previous one.
    "past" (the online, uni-directional TSM): [0, fold) take the previous frame, and no frame sees a later one.
    """
    fold = channels // divisor
    if fold == 0:
        return ()
    if direction == "past":
        return (-1, 0, fold), (0, fold, channels)
    return (1, 0, fold), (-1, fold, 2 * fold), (0, 2 * fold, channels)


def spans(offset: int, num_frames: int) -> tuple[slice, slice]:
    """Return the frames that receive from `offset` frames away, and the frames that they receive; equally many of each.

    >>> spans(1, num_frames=4)  # frames 0, 1, 2 receive frames 1, 2, 3
    (slice(0, 3, None), slice(1, 4, None))
    """
    return (
        slice(max(0, -offset), num_frames - max(0, offset)),
        slice(max(0, offset), num_frames - max(0, -offset)),
    )
