"""How far each stage is: bars on a terminal, plain lines in a log.

A stage calls its `Reporter`; that sends to one small `Board` actor, at most five times a second and without waiting;
the driver looks at the board now and then and shows what is new on a `Progress`.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from pipeline.base.terminal import Terminal

REPORT_S = 0.2
LINE_S = 10.0
FLUSH_S = 20.0
MAX_TEXT = 300


class Board:
    """The latest report of each stage, and what they said since it was last asked. Runs as an actor (`num_cpus=0`)."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[float, float | None, str]] = {}
        self._said: list[str] = []

    def report(self, stage: str, done: float, total: float | None, note: str) -> None:
        """Enter how far a stage is."""
        self._latest[stage] = (done, total, note)

    def say(self, text: str) -> None:
        """Enter a sentence for the user."""
        self._said.append(text)

    def take(self) -> tuple[dict[str, tuple[float, float | None, str]], list[str]]:
        """Take all that is new since the last call."""
        taken = self._latest, self._said
        self._latest, self._said = {}, []
        return taken


class Reporter:
    """What a stage reports with: `progress(done, total, note)`. Without a board (no Ray) it does nothing.

    It can be passed on to tasks and actors that the stage starts.
    """

    def __init__(self, stage: str, board: Any = None) -> None:
        self._stage = stage
        self._board = board
        self._sent_s = float("-inf")
        self._last: tuple[float, float | None] | None = None

    def __call__(self, done: float, total: float | None, note: str = "") -> None:
        """Say that `done` of `total` (None: unknown) is done. Dropped when the last report is under 0.2 s old."""
        now_s = time.monotonic()
        is_end = done == total and (done, total) != self._last
        if self._board is None or (now_s - self._sent_s < REPORT_S and not is_end):
            return
        self._sent_s, self._last = now_s, (done, total)
        with suppress(Exception):  # a lost board must not stop a stage
            self._board.report.remote(self._stage, done, total, note[:MAX_TEXT])

    def say(self, text: str) -> None:
        """Tell the user something once, above the bars."""
        if self._board is not None:
            with suppress(Exception):
                self._board.say.remote(text[:MAX_TEXT])

    def flush(self) -> None:
        """Wait, at most `FLUSH_S`, until the board has all that was sent."""
        if self._board is not None:
            import ray

            with suppress(Exception):
                # An actor answers one caller in order; an empty sentence is not shown.
                ray.get(self._board.say.remote(""), timeout=FLUSH_S)


class Progress:
    """Shows stages to the user; a context manager. Bars on a terminal, else at most one line a stage every 10 s."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Terminal(stderr=True)
        self._clock = clock
        self._shown_s: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._bars: Bars | None = None
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[count]}", markup=False),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=self._console,
            )

    def __enter__(self) -> "Progress":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def start(self, stage: str) -> None:
        """Show that a stage begins."""
        if self._bars:
            if stage in self._tasks:  # once more, after its worker died
                self._bars.reset(self._tasks[stage], total=None, count="", note="")
            else:
                self._tasks[stage] = self._bars.add_task(stage, total=None, count="", note="")
        else:
            self._shown_s[stage] = self._clock()
            self.say(f"{stage}: starts")

    def update(self, stage: str, done: float, total: float | None, note: str = "") -> None:
        """Show that a stage is at `done` of `total`."""
        count = f"{done:g}/{total:g}" if total is not None else f"{done:g}"
        if self._bars:
            if stage in self._tasks:
                self._bars.update(self._tasks[stage], completed=done, total=total, count=count, note=note)
            return
        now_s = self._clock()
        if done == total or now_s - self._shown_s.get(stage, float("-inf")) >= LINE_S:
            self._shown_s[stage] = now_s
            percent = f" ({100 * done / total:.0f} %)" if total else ""
            self.say(f"{stage}: {count}{percent}{' ' + note if note else ''}")

    def finish(self, stage: str, text: str) -> None:
        """Show that a stage has ended: made, reused or failed."""
        if self._bars and stage in self._tasks:
            self._bars.remove_task(self._tasks.pop(stage))
        self.say(f"{stage}: {text}")

    def say(self, text: str) -> None:
        """Print one line, above the bars when there are any."""
        if text:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
