"""Boxes by known answers and by a loop; what is encoded is decoded."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.ops.boxes import MOST_LOG, areas, centred, clipped, cornered, decode, encode, overlaps

Box = tuple[float, float, float, float]
CORNERS = st.integers(0, 12)
BOXES = st.lists(
    st.tuples(CORNERS, CORNERS, CORNERS, CORNERS).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])),
    min_size=1,
    max_size=6,
)


def overlap(a: Box, b: Box, crowd: bool = False) -> float:
    """One pair, by hand."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    own, other = ((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    whole = own if crowd else own + other - width * height
    return width * height / whole if whole else 0.0


def tensor(boxes: list[Box]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32)


def test_known_answers() -> None:
    boxes = tensor([(0, 0, 10, 10), (5, 5, 15, 15), (20, 0, 30, 5), (3, 3, 3, 9)])
    assert areas(boxes).tolist() == [100, 100, 50, 0]
    assert areas(tensor([(5, 5, 3, 3)])).tolist() == [0]
    expected: list[list[float]] = [[1, 25 / 175, 0, 0], [25 / 175, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(overlaps(boxes, boxes), torch.tensor(expected))
    crowd = torch.tensor([False, True, False, True])
    expected[0][1] = expected[1][0] = 0.25
    torch.testing.assert_close(overlaps(boxes, boxes, crowd)[0], torch.tensor(expected[0]))
    assert centred(boxes)[2].tolist() == [25, 2.5, 10, 5]
    assert clipped(tensor([(-3, -2, 40, 7)]), (6, 30)).tolist() == [[0, 0, 30, 6]]


@settings(max_examples=60, deadline=None)
@given(BOXES, BOXES, st.lists(st.booleans(), min_size=6, max_size=6))
def test_overlaps_equal_a_loop(boxes: list[Box], others: list[Box], crowds: list[bool]) -> None:
    crowd = crowds[: len(others)]
    found = overlaps(tensor(boxes), tensor(others), torch.tensor(crowd))
    expected = [[overlap(a, b, c) for b, c in zip(others, crowd, strict=True)] for a in boxes]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    batched = overlaps(tensor(boxes).expand(3, -1, -1), tensor(others).expand(3, -1, -1))
    assert torch.equal(batched[2], overlaps(tensor(boxes), tensor(others)))


def test_the_code_of_a_box() -> None:
    """A box as large as its prior, half a width to the right of it; and one e times as wide."""
    prior = torch.tensor([[50.0, 40.0, 20.0, 10.0]])
    assert encode(torch.tensor([[60.0, 40.0, 20.0, 10.0]]), prior).tolist() == [[5, 0, 0, 0]]
    torch.testing.assert_close(
        encode(torch.tensor([[50.0, 41.0, 20.0 * math.e, 10.0]]), prior), torch.tensor([[0.0, 1.0, 5.0, 0.0]])
    )
    # torchvision's weights 10, 10, 5, 5 are these variances.
    huge = decode(torch.tensor([[0.0, 0.0, 1e9, 0.0]]), prior)
    torch.testing.assert_close(huge, torch.tensor([[50.0, 40.0, 20 * 62.5, 10.0]]))
    assert pytest.approx(math.log(62.5)) == MOST_LOG


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([(0.1, 0.2), (1.0, 1.0), (0.05, 0.5)]))
def test_what_is_encoded_is_decoded(seed: int, variances: tuple[float, float]) -> None:
    rng = torch.Generator().manual_seed(seed)
    boxes, priors = (torch.rand(20, 4, generator=rng, dtype=torch.float64) * 200 + 4 for _ in range(2))
    torch.testing.assert_close(decode(encode(boxes, priors, variances), priors, variances), boxes)
    codes = torch.randn(20, 4, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(encode(decode(codes, priors, variances), priors, variances), codes)
    torch.testing.assert_close(centred(cornered(boxes)), boxes)
