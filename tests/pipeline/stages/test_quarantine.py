from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import ZoetropeError
from pipeline.sources.rows import BadRow
from pipeline.stages.quarantine import check_left, check_share

TABLE = Path("/store/work/quarantine.jsonl")


def rows(count: int) -> list[BadRow]:
    return [
        {"source": f"cat/{i}.mp4", "stage": "ingest", "reason": "the file is empty (zero bytes)"} for i in range(count)
    ]


def test_as_many_as_allowed_pass() -> None:
    check_share(rows(0), 0, 0.01, TABLE)
    check_share(rows(1), 100, 0.01, TABLE)
    check_share(rows(10), 100, 0.1, TABLE)


def test_the_first_ones_are_shown_and_the_table_is_named() -> None:
    with pytest.raises(ZoetropeError) as caught:
        check_share(rows(7), 300, 0.01, TABLE)
    lines = str(caught.value).splitlines()
    assert lines[0] == "7 of 300 files cannot be used; data.max_bad = 0.01 allows 3:"
    assert lines[1:6] == [f"  cat/{i}.mp4: the file is empty (zero bytes)" for i in range(5)]
    assert lines[6] == "  and 2 more, see /store/work/quarantine.jsonl"
    assert lines[7] == "Mend or remove these files, or leave them out: data.max_bad=0.024."


def test_a_name_is_a_part_of_its_line() -> None:
    bad: list[BadRow] = [{"source": "a\nb\x1b[2J.jpg", "stage": "ingest", "reason": "there is no file a\nb"}]
    with pytest.raises(ZoetropeError) as caught:
        check_share(bad, 2, 0.0, TABLE)
    assert str(caught.value).splitlines()[1] == r"  a\nb\x1b[2J.jpg: there is no file a\nb"


def test_nothing_is_left_to_leave_out() -> None:
    with pytest.raises(ZoetropeError, match=r"Mend or remove these files\.$"):
        check_share(rows(2), 2, 0.5, TABLE)


@given(st.integers(1, 999), st.integers(1000, 10**6))
def test_the_share_that_is_proposed_is_enough(bad: int, total: int) -> None:
    with pytest.raises(ZoetropeError) as caught:
        check_share(rows(bad), total, 0.0, TABLE)
    check_share(rows(bad), total, float(str(caught.value).rpartition("data.max_bad=")[2].removesuffix(".")), TABLE)


def test_what_must_be_left() -> None:
    check_left("train", 3, {"cat": 1, "dog": 2}, False, TABLE)
    check_left("val", 2, {"cat": 0, "dog": 2}, False, TABLE)
    check_left("train", 1, {"cat": 0, "dog": 0}, True, TABLE)  # one sample, of no class
    with pytest.raises(
        ZoetropeError, match=r"^no sample of class 'dog' can be used in the split 'train'\. The reasons"
    ):
        check_left("train", 1, {"cat": 1, "dog": 0}, False, TABLE)
    with pytest.raises(ZoetropeError, match=r"^no sample can be used in the split 'val'\. .*/quarantine\.jsonl: mend"):
        check_left("val", 0, {"cat": 0, "dog": 0}, True, TABLE)
