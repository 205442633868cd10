import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from pipeline.graph.progress import Board, Progress, Reporter


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def lines(use: Callable[[Progress, Clock], Any]) -> list[str]:
    text, clock = io.StringIO(), Clock()
    with Progress(Console(file=text), clock) as progress:
        use(progress, clock)
    return text.getvalue().splitlines()


def test_log_has_a_line_every_ten_seconds_and_the_last() -> None:
    def use(progress: Progress, clock: Clock) -> None:
        progress.start("shard")
        for second in range(0, 25):
            clock.now_s = float(second)
            progress.update("shard", second, 24, "[bad] 1")
        progress.finish("shard", "made in 24.0 s")

    assert lines(use) == [
        "shard: starts",
        "shard: 10/24 (42 %) [bad] 1",
        "shard: 20/24 (83 %) [bad] 1",
        "shard: 24/24 (100 %) [bad] 1",
        "shard: made in 24.0 s",
    ]


def test_unknown_total() -> None:
    def use(progress: Progress, clock: Clock) -> None:
        clock.now_s = 11.0
        progress.update("ingest", 3, None)

    assert lines(use) == ["ingest: 3"]


def test_stages_have_their_own_ten_seconds() -> None:
    def use(progress: Progress, clock: Clock) -> None:
        clock.now_s = 100.0
        progress.update("a", 1, 9)
        progress.update("b", 1, 9)
        progress.update("a", 2, 9)

    assert lines(use) == ["a: 1/9 (11 %)", "b: 1/9 (11 %)"]


def test_bars_on_a_terminal() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, legacy_windows=False, color_system=None)
    with Progress(console) as progress:
        progress.start("shard")
        progress.update("shard", 3, 12, "3 bad [x]")
        progress.say("a sentence")
        progress.start("shard")  # its worker died
        progress.update("shard", 4, 12)
        assert progress._bars
        progress._bars.refresh()
        progress.finish("shard", "made in 1.0 s")
        progress.update("shard", 12, 12)  # too late
    shown = text.getvalue()
    assert "4/12" in shown
    assert "a sentence" in shown
    assert "shard: made in 1.0 s" in shown


def test_a_name_from_elsewhere_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.start("ingest")
        progress.say("ingest: files passed over: 1 x .\x1b[2Jx :cat:\ningest: [b] \u202egpj.exe \udcff")
    assert capsys.readouterr().err.splitlines() == [
        "ingest: starts",
        r"ingest: files passed over: 1 x .\x1b[2Jx :cat:",
        r"ingest: [b] \u202egpj.exe \udcff",
    ]


class FakeMethod:
    def __init__(self, method: Callable[..., None]) -> None:
        self.remote = method


class FakeActor:
    """Looks like a Ray actor handle; calls the board at once."""

    def __init__(self, board: Board) -> None:
        self.report = FakeMethod(board.report)
        self.say = FakeMethod(board.say)


def test_reporter_drops_what_comes_too_fast_but_not_the_end() -> None:
    board = Board()
    reporter = Reporter("shard", FakeActor(board))
    taken = []
    for done in [1, 2, 3]:
        reporter(done, 3)
        taken.append(board.take()[0].get("shard"))
    reporter(3, 3)
    taken.append(board.take()[0].get("shard"))
    assert taken == [(1, 3, ""), None, (3, 3, ""), None]


def test_board_keeps_the_latest_and_forgets_what_was_taken() -> None:
    board = Board()
    board.report("a", 1, 2, "")
    board.report("a", 2, 2, "x")
    board.report("b", 1, None, "")
    board.say("hello")
    assert board.take() == ({"a": (2, 2, "x"), "b": (1, None, "")}, ["hello"])
    assert board.take() == ({}, [])


def test_reporter_works_without_ray_and_with_a_lost_board() -> None:
    reporter = Reporter("shard")
    reporter(1, 2)
    reporter.say("x")
    reporter.flush()
    lost = Reporter("shard", object())
    lost(1, 2)
    lost.say("x")
