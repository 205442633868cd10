import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.schedule import CURVES, constant, cosine, factor


def factors(total: int, warmup: int, curve: str = "cosine") -> list[float]:
    return [factor(step, total, warmup, CURVES[curve]) for step in range(total)]


def test_cosine_without_warmup() -> None:
    root = math.sqrt(2) / 4
    assert factors(4, 0) == pytest.approx([1, 0.5 + root, 0.5, 0.5 - root])


def test_warmup_climbs_in_equal_steps_and_hands_over_at_the_peak() -> None:
    assert factors(7, 3) == pytest.approx([0.25, 0.5, 0.75, 1, 0.5 + math.sqrt(2) / 4, 0.5, 0.5 - math.sqrt(2) / 4])


def test_constant_after_warmup() -> None:
    assert factors(5, 2, "constant") == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])


def test_warmup_as_long_as_the_training_never_reaches_the_peak() -> None:
    assert factors(3, 3) == pytest.approx([0.25, 0.5, 0.75])


@given(st.integers(1, 300), st.integers(0, 300), st.sampled_from([cosine, constant]))
def test_rises_then_falls_and_stays_above_zero_and_below_the_peak(total: int, warmup: int, curve: object) -> None:
    values = [factor(step, total, warmup, curve) for step in range(total)]  # type: ignore[arg-type]
    assert all(0 < value <= 1 for value in values)
    rising, falling = values[: warmup + 1], values[warmup:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
