"""Calls in a process that can be ended. The functions called lie here, so the process imports this module."""

import os
import signal
import time
from pathlib import Path

import pytest

from pipeline.base.alive import alive
from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.feed.apart import each_apart
from tests.processes import family, left_of

LONG_S = 60.0
SHORT_S = 2.0


def double(number: int) -> int:
    """A call that is well."""
    return 2 * number


def act(what: str, marks: Path | None = None) -> object:
    """What a file may make a decoder do. `marks` notes the tries."""
    if marks:
        with marks.open("a") as file:
            file.write(f"{what}\n")
    if what == "hang":
        time.sleep(LONG_S)
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "killed once" and marks and marks.read_text().count(what) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "bad":
        raise BadSample("the video is broken after 3 frames")
    if what == "away":
        raise ZoetropeError("https://host.example/a.mp4 cannot be reached")
    if what == "bug":
        raise KeyError("no such name")
    if what == "large answer":
        return bytes(5 << 30)  # and as many bytes again when it is pickled
    if what == "no pickle":
        return lambda: what
    if what == "large":
        return str(len(bytearray(64 << 30)))
    if what == "slow":
        for _ in range(6):
            time.sleep(SHORT_S / 4)
            alive()
    return what


def outcomes(*whats: str, timeout_s: float = LONG_S, marks: Path | None = None) -> list[str]:
    return [str(one) for one in each_apart(act, [(what, marks) for what in whats], timeout_s)]


def test_results_come_in_order() -> None:
    assert list(each_apart(double, [(n,) for n in range(100)], LONG_S)) == list(range(0, 200, 2))
    assert list(each_apart(double, [], LONG_S)) == []


def test_errors_in_words_are_results() -> None:
    first, second, third = each_apart(act, [("bad",), ("away",), ("well",)], LONG_S)
    assert isinstance(first, BadSample)
    assert first.reason == "the video is broken after 3 frames"
    assert type(second) is ZoetropeError
    assert third == "well"


def test_an_error_of_our_own_shows_where_it_was() -> None:
    with pytest.raises(RuntimeError, match=r'(?s)failed:\nTraceback .*raise KeyError\("no such name"\)'):
        outcomes("well", "bug", "well")
    assert outcomes("well") == ["well"]


def test_a_call_that_hangs_is_given_up_after_two_tries(tmp_path: Path) -> None:
    """The others are made, each once."""
    marks = tmp_path / "marks"
    found = outcomes("one", "hang", "two", timeout_s=SHORT_S, marks=marks)
    assert found == ["one", f"its decoder took longer than feed.timeout_s = {SHORT_S:g} s, 2 times", "two"]
    assert marks.read_text().split() == ["one", "hang", "hang", "two"]


@pytest.mark.slow
def test_a_call_that_shows_signs_of_life_may_take_long() -> None:
    assert outcomes("slow", timeout_s=SHORT_S) == ["slow"]


def test_a_crash_costs_its_own_sample() -> None:
    assert outcomes("one", "crash", "two") == ["one", "its decoder died (exit code -11), 2 times", "two"]


def test_a_process_killed_from_outside_costs_nothing(tmp_path: Path) -> None:
    assert outcomes("killed once", "two", marks=tmp_path / "marks") == ["killed once", "two"]


def test_memory_has_a_limit() -> None:
    assert outcomes("large", "two") == ["decoding it takes more than 8 GiB of memory", "two"]


def test_an_answer_too_large_for_the_pipe_is_told_as_memory() -> None:
    assert outcomes("large answer", "two") == ["decoding it takes more than 8 GiB of memory", "two"]


def test_an_answer_that_cannot_be_sent_is_an_error_of_our_own() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)failed:\nTraceback .*pickle local object"):
        outcomes("no pickle")


def test_work_that_is_given_up_leaves_no_process() -> None:
    calls = each_apart(act, [("well",), ("hang",)], LONG_S)
    assert next(calls) == "well"
    before = family(os.getpid(), "spawn_main")
    calls.close()  # type: ignore[attr-defined]  # a generator
    assert sum(bool(left_of([child.pid], timeout_s=1)) for child in before) == len(before) - 1
