import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipe.space import Choice, LogUniform, QUniform, RandInt, Uniform, parse_domain

SHARES = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("text", "ends", "middle"),
    [
        ("uniform(0.0, 0.2)", [0.0, 0.2], 0.1),
        ("loguniform(0.01, 1)", [0.01, 1.0], 0.1),
        ("quniform(0, 1, 0.25)", [0.0, 1.0], 0.5),
        ("quniform(0, 1, 0.3)", [0.0, 0.9], 0.6),
        ("randint(1, 4)", [1, 4], 3),
        ("choice(sgd, adamw)", ["sgd", "adamw"], "adamw"),
        ("choice(1, 2.5, true, null, 'a b')", [1, 2.5, True, None, "a b"], True),
        ("choice([{Posterize: {bits: 4}}], [])", [[{"Posterize": {"bits": 4}}], []], []),
        ("choice(-1, -0.5)", [-1, -0.5], -0.5),
    ],
)
def test_forms(text: str, ends: list[Any], middle: Any) -> None:
    domain = parse_domain(text)
    assert domain.ends == ends
    at = domain.at(0.5)
    assert at == pytest.approx(middle) if isinstance(middle, float) else at == middle
    assert str(domain) == text
    assert parse_domain(domain) is domain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unifrm(0, 1)", "unknown domain 'unifrm'; did you mean 'uniform'"),
        ("0.1", "'0.1' is no domain; write it as uniform"),
        ("uniform(0, 1", "is no domain"),
        ("uniform(low=0, high=1)", "is no domain"),
        ("uniform(0)", "uniform takes 2 numbers"),
        ("uniform(a, b)", "uniform takes 2 numbers"),
        ("uniform(1, 0)", "the first must be smaller"),
        ("uniform(0, 1e999)", "uniform takes 2 numbers"),
        ("loguniform(0, 1)", "both must be larger than 0"),
        ("quniform(0, 1, 2)", "a step of 2 from 0 to 1"),
        ("quniform(0, 1, 1e-9)", "does not give 2 to 1000 values"),
        ("randint(0, 1.5)", "2 whole numbers"),
        ("choice()", "1 to 1000 values"),
        ("choice(__import__('os').system('true'))", "is no value"),
        ("choice(1 + 1)", "is no value"),
        ("[].append(1)", "is no domain"),
        ("(" * 10_000, "is no domain"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_domain(text)
    assert message in str(error.value)


@given(SHARES, st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ranges_keep_to_their_ends(u: float, low: float, width: float) -> None:
    high = low + width
    assert low <= Uniform("", low, high).at(u) <= high or math.isclose(Uniform("", low, high).at(u), high)
    positive = abs(low) + 1e-6
    assert positive <= LogUniform("", positive, positive + width).at(u) <= positive + width


@given(SHARES, st.integers(-50, 50), st.integers(1, 50))
def test_listed_values_are_all_that_comes(u: float, low: int, width: int) -> None:
    whole = RandInt("", low, low + width)
    assert whole.at(u) in (whole.listed or [])
    steps = QUniform("", float(low), float(low + width), 0.5)
    assert steps.at(u) in steps.listed
    assert len(steps.listed) == 2 * width + 1


@given(st.lists(st.integers(), min_size=1, max_size=9, unique=True))
def test_a_choice_is_fair(values: list[int]) -> None:
    domain = Choice("", tuple(values))
    assert [domain.at((i + 0.5) / len(values)) for i in range(len(values))] == values
