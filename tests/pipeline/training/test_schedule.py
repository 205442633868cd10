import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch.optim import lr_scheduler

from pipeline.recipe.schedules import Schedule
from pipeline.training.schedule import make

KINDS: dict[str, dict[str, Any]] = {
    "cosine": {},
    "polynomial": {},
    "step": {"at": ["30%", "60%", "80%"]},
    "constant": {},
    "plateau": {},
}


def factors(total: int, warmup: str = "0st", kind: str = "cosine", **options: Any) -> list[float]:
    """With 10 steps an epoch, in batches of 4."""
    checked = TypeAdapter(Schedule).validate_python({"kind": kind, "warmup": warmup, **KINDS[kind], **options})
    curve = make(checked, 10, 4, total, checked.warmup.steps(10, 4, total))
    return [curve(step) for step in range(total)]


def test_cosine_without_warmup() -> None:
    root = math.sqrt(2) / 4
    assert factors(4) == pytest.approx([1, 0.5 + root, 0.5, 0.5 - root])
    assert factors(4, final=0.2) == pytest.approx([1, 0.6 + 0.8 * root, 0.6, 0.6 - 0.8 * root])


def test_warmup_climbs_in_equal_steps_and_hands_over_at_the_peak() -> None:
    root = math.sqrt(2) / 4
    assert factors(7, "3st") == pytest.approx([0.25, 0.5, 0.75, 1, 0.5 + root, 0.5, 0.5 - root])


def test_gradual_warmup_as_published_goes_from_the_base_to_m_times_it() -> None:
    # lr_base * (1 + (m - 1) * t / T) for m = 8 and T = 5, as a share of the peak 8 * lr_base
    expected = [(1 + 7 * t / 5) / 8 for t in range(5)]
    assert factors(10, "5st", "constant", warmup_from=1 / 8) == pytest.approx([*expected, 1, 1, 1, 1, 1])


def test_the_hand_over_to_a_cosine_does_not_overshoot() -> None:
    # The well-known class that chains two schedulers reaches 1.0251 times the peak here
    values = factors(15, "5st", warmup_from=1 / 8)
    assert max(values) == 1
    assert values.index(1) == 5


def test_constant_warmup_jumps() -> None:
    shape = {"warmup_shape": "constant"}
    assert factors(5, "2st", "constant", **shape) == [0.1, 0.1, 1, 1, 1]
    assert factors(3, "2st", "constant", warmup_from=0.5, **shape) == [0.5, 0.5, 1]


def test_steps_count_from_the_start_whatever_their_unit() -> None:
    at = ["80sa", "3ep", "80%"]  # steps 20, 30 and 40 of 50
    assert factors(50, "5st", "step", at=at, factor=0.5)[5:] == [1.0] * 15 + [0.5] * 10 + [0.25] * 10 + [0.125] * 10


def test_polynomial_known_values() -> None:
    assert factors(4, kind="polynomial", power=1) == pytest.approx([1, 0.75, 0.5, 0.25])
    assert factors(4, kind="polynomial", power=2, final=0.2) == pytest.approx([1, 0.65, 0.4, 0.25])
    assert factors(10, kind="polynomial")[5] == pytest.approx(0.5358867312681466)  # 0.5 ** 0.9


def test_warmup_as_long_as_the_training_never_reaches_the_peak() -> None:
    assert factors(3, "3st") == pytest.approx([0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    ("kind", "scheduler"),
    [
        ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20)),
        ("polynomial", lambda o: lr_scheduler.PolynomialLR(o, total_iters=20, power=0.9)),
        ("step", lambda o: lr_scheduler.MultiStepLR(o, milestones=[6, 12, 16], gamma=0.1)),
        ("constant", lambda o: lr_scheduler.ConstantLR(o, factor=1)),
    ],
)
def test_equals_torch(kind: str, scheduler: Any) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    stateful, expected = scheduler(optimizer), []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        stateful.step()
    assert factors(20, kind=kind) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 300), st.integers(0, 300), st.sampled_from(sorted(KINDS)), st.sampled_from([None, 0.0, 0.3]))
def test_rises_then_falls_between_zero_and_the_peak(total: int, warmup: int, kind: str, start: float | None) -> None:
    values = factors(total, f"{warmup}st", kind, warmup_from=start)
    assert all(0 <= value <= 1 for value in values)
    rising, falling = values[: warmup + 1], values[warmup:]
    if kind != "step" or warmup == 0:  # a milestone may lie within the warm-up
        assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    if kind != "step":
        assert falling[:1] in ([], [1.0])
