from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipe.duration import Length, parse


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("90ep", 90, "ep"),
        ("0.5ep", Fraction(1, 2), "ep"),
        ("2000st", 2000, "st"),
        ("64sa", 64, "sa"),
        ("300ksa", 300_000, "sa"),
        ("1.2Msa", 1_200_000, "sa"),
        ("1.281167Msa", 1_281_167, "sa"),
        ("2Gsa", 2_000_000_000, "sa"),
        ("5%", 5, "%"),
        (" 3 ep ", 3, "ep"),
    ],
)
def test_forms(text: str, amount: Fraction, unit: str) -> None:
    length = parse(text)
    assert (length.amount, length.unit, str(length)) == (amount, unit, text.strip())
    assert parse(length) is length


@pytest.mark.parametrize("wrong", ["", "90", 90, None, True, "ep", "-1ep", "1e3st", "3 epochs", "1kst", "5%ep", "1.ep"])
def test_other_forms_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"is no duration; write epochs as 90ep, .* a share as 5%"):
        parse(wrong)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("3ep", 45),
        ("0.5ep", 8),  # 7.5, to the even one
        ("0.01ep", 1),  # 0.15: nothing would be no training
        ("7st", 7),
        ("6.5st", 7),
        ("64sa", 1),
        ("65sa", 2),
        ("1ksa", 16),
        ("5%", 10),
        ("0.1%", 0),  # of a share, nothing is a fine answer
        ("0%", 0),
    ],
)
def test_steps(text: str, steps: int) -> None:
    assert parse(text).steps(steps_per_epoch=15, batch_size=64, total_steps=200) == steps


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 10**5))
def test_samples_are_never_cut_off(samples: int, batch_size: int, steps_per_epoch: int) -> None:
    steps = parse(f"{samples}sa").steps(steps_per_epoch, batch_size)
    assert (steps - 1) * batch_size < samples <= steps * batch_size


@given(st.integers(1, 500), st.integers(1, 10**5), st.integers(1, 10**4))
def test_whole_epochs_are_exact(epochs: int, steps_per_epoch: int, batch_size: int) -> None:
    assert parse(f"{epochs}ep").steps(steps_per_epoch, batch_size) == epochs * steps_per_epoch


@given(st.decimals(0, 10**6, places=3), st.sampled_from(["ep", "st", "%", "sa", "ksa", "Msa", "Gsa"]))
def test_text_reads_back(amount: object, unit: str) -> None:
    length = parse(f"{amount}{unit}")
    assert parse(str(length)) == length
    assert isinstance(length, Length)
