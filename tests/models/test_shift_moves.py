"""Which channels move, as numbers."""

import pytest

from models.shift_moves import Direction, Moves, shift_moves, spans


@pytest.mark.parametrize(
    ("channels", "divisor", "direction", "moves"),
    [
        (64, 8, "both", ((1, 0, 8), (-1, 8, 16), (0, 16, 64))),
        (64, 8, "past", ((-1, 0, 8), (0, 8, 64))),
        (9, 4, "both", ((1, 0, 2), (-1, 2, 4), (0, 4, 9))),
        (8, 2, "both", ((1, 0, 4), (-1, 4, 8), (0, 8, 8))),
        (7, 8, "both", ()),
        (7, 8, "past", ()),
    ],
)
def test_known_answers(channels: int, divisor: int, direction: Direction, moves: Moves) -> None:
    assert shift_moves(channels, divisor, direction) == moves


@pytest.mark.parametrize(
    ("offset", "receiving", "received"),
    [(1, [0, 1, 2], [1, 2, 3]), (-1, [1, 2, 3], [0, 1, 2]), (0, [*range(4)], [*range(4)])],
)
def test_spans(offset: int, receiving: list[int], received: list[int]) -> None:
    into, taken = spans(offset, num_frames=4)
    assert [*range(4)][into] == receiving
    assert [*range(4)][taken] == received


def test_one_frame_receives_nothing() -> None:
    assert all([0][part] == [] for offset in (1, -1) for part in spans(offset, num_frames=1))
