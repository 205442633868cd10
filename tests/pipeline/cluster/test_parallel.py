import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import ZoetropeError
from pipeline.cluster import parallel
from pipeline.cluster.parallel import chunks, run_parallel


@given(st.lists(st.integers()), st.integers(1, 10))
def test_chunks(items: list[int], size: int) -> None:
    parts = list(chunks(items, size))
    assert [item for part in parts for item in part] == items
    assert all(len(part) == size for part in parts[:-1])
    assert all(0 < len(part) <= size for part in parts)


def slow_first(number: int, folder: Path) -> int:
    (folder / f"{number}").touch()
    deadline = time.monotonic() + 60
    while number == 0 and not (folder / "1").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return number


@pytest.mark.usefixtures("ray_of_two")
def test_results_come_in_order_and_calls_run_beside_each_other(tmp_path: Path) -> None:
    assert list(run_parallel(slow_first, [(i, tmp_path) for i in range(6)])) == [0, 1, 2, 3, 4, 5]


@pytest.mark.usefixtures("ray_of_two")
def test_only_so_many_are_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "IN_FLIGHT", 2)
    results = run_parallel(slow_first, [(i, tmp_path) for i in range(6)])
    assert next(results) == 0
    assert not (tmp_path / "3").exists()
    assert list(results) == [1, 2, 3, 4, 5]


def refuse(number: int) -> int:
    if number == 1:
        raise ZoetropeError("number 1 is bad")
    return number


@pytest.mark.usefixtures("ray_of_two")
def test_what_a_call_raises_is_raised_here() -> None:
    results = run_parallel(refuse, [(0,), (1,), (2,)])
    assert next(results) == 0
    with pytest.raises(ZoetropeError, match="number 1 is bad"):
        next(results)
