import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode.limits import BadSample
from pipeline.sources.labels import MAX_NAME, class_name, class_order, meaning, spellings


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("cat", "cat"),
        (" cat\n", "cat"),
        ("cafe\u0301", "caf\u00e9"),
        (3, "3"),
        (-1, "-1"),
        (0.0, "0"),
        (10.0, "10"),
        (1e16, "10000000000000000"),
        ("01", "01"),  # text stays as it is written
        ("1.0", "1.0"),
        ("nan", "nan"),
        ("a\u200db", "a\u200db"),
        ("\u65e5\u672c\u3000\u8a9e", "\u65e5\u672c\u3000\u8a9e"),
        ("x" * MAX_NAME, "x" * MAX_NAME),
    ],
)
def test_names(value: Any, name: str) -> None:
    assert class_name(value) == name


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "its label is empty"),
        (" \n", "its label is empty"),
        (None, "its label is empty"),
        (float("nan"), "its label is empty"),
        (float("inf"), "its label inf is neither text nor a whole number"),
        (1.5, "its label 1.5 is neither text nor a whole number"),
        (True, "its label True is neither text nor a whole number"),
        (["a"], "its label ['a'] is neither text nor a whole number"),
        ("a\nb", "its label 'a\\nb' has a character that does not print"),
        ("a\0", "its label 'a\\x00' has a character that does not print"),
        ("a\u202eb", "its label 'a\\u202eb' has a character that does not print"),
        ("a\x1b[31m", "its label 'a\\x1b[31m' has a character that does not print"),
        ("x" * (MAX_NAME + 1), "has 256 characters, and may have 255"),
    ],
)
def test_what_is_no_name(value: Any, reason: str) -> None:
    with pytest.raises(BadSample) as caught:
        class_name(value)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["10", "9", "1"], ["1", "9", "10"]),
        (["10.0", "9.0", "1.0"], ["1.0", "9.0", "10.0"]),
        (["2", "-1", "10", "0"], ["-1", "0", "2", "10"]),
        (["10", "other", "9", "Any"], ["9", "10", "Any", "other"]),
        (["1.5", "1.25", "2"], ["1.25", "1.5", "2"]),
        (["1", "02", "01", "2", "1.0"], ["01", "1", "1.0", "02", "2"]),
        (["b1", "a10", "a9"], ["a10", "a9", "b1"]),
        (["\u0663", "2"], ["2", "\u0663"]),  # an Arabic three
    ],
)
def test_the_order(names: list[str], order: list[str]) -> None:
    assert class_order(names) == order


LABELS = st.lists(st.sampled_from(["1", "01", "1.0", "2", "02", "10", "-1", "a", "B", "1.5", "1.50", "001"]))


@given(LABELS, st.randoms(use_true_random=False))
def test_names_and_their_order_do_not_depend_on_who_comes_first(names: list[str], random: Any) -> None:
    shuffled = random.sample(names, len(names))
    assert class_order(names) == class_order(shuffled)
    assert spellings(names) == spellings(shuffled)


def test_the_order_is_the_same_in_every_process() -> None:
    program = "from pipeline.sources.labels import class_order; print(class_order({'1', '01', '2', '02', '10', '3'}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in "0123"
    }
    assert said == {"['01', '1', '02', '2', '3', '10']\n"}


def test_one_number_in_several_spellings_is_one_class() -> None:
    assert spellings(["01", "1", "1.0", "02", "2.0", "3.00", "3", "1.1", "1.10", "-0", "0", "cat"]) == {
        "01": "1",
        "1": "1",
        "1.0": "1",
        "02": "02",
        "2.0": "02",
        "3.00": "3.00",
        "3": "3",
        "1.1": "1.1",
        "1.10": "1.10",
        "-0": "0",
        "0": "0",
        "cat": "cat",
    }
    assert meaning("cat") != meaning("Cat")
