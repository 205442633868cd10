"""The trials on the terminal: a table that is drawn anew, or a line an event where there is no terminal."""

import json
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tune.journal import Trial, ranked, winner

MOST_ROWS = 20
REFRESH_S = 0.5


def show_value(value: Any) -> str:
    """Return a value of a key, short.

    >>> show_value(0.0123456), show_value([{"Posterize": {}}])
    ('0.01235', '[{"Posterize": {}}]')
    """
    text = f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def table(trials: Mapping[int, Trial], metric: str, mode: str, most: int = MOST_ROWS) -> Table:
    """Return the best trials so far."""
    made = Table()
    keys = list(next(iter(trials.values())).values) if trials else []
    for name in ("trial", "status", "epoch", metric, *keys):
        made.add_column(name, no_wrap=name in ("trial", "status"))
    best = winner(list(trials.values()), mode)
    shown = ranked(trials.values(), mode)
    for trial in shown[:most]:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        cells = (str(trial.number), trial.status, f"{trial.epoch:.3g}", value, *map(show_value, trial.values.values()))
        made.add_row(*(Text(cell) for cell in cells), style="bold green" if trial is best else None)
    if len(shown) > most:
        made.caption = f"and {len(shown) - most} more"
    return made


class View:
    """Shows the trials while they run; a context manager."""

    def __init__(self, console: Console, trials: Mapping[int, Trial], metric: str, mode: str, samples: int) -> None:
        self._console, self._trials, self._metric, self._mode, self._samples = console, trials, metric, mode, samples
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._drawn_s = 0.0

    def __enter__(self) -> "View":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, trial: Trial, word: str) -> None:
        """Show that something has happened to a trial."""
        if word.startswith("failed"):
            self._console.print(f"trial {trial.number}: {word}", markup=False, highlight=False, soft_wrap=True)
        elif self._live is None:
            self._console.print(self._line(trial, word), markup=False, highlight=False, soft_wrap=True)
        if self._live and time.monotonic() - self._drawn_s > REFRESH_S:
            self._drawn_s = time.monotonic()
            self._live.update(table(self._trials, self._metric, self._mode), refresh=True)

    def _line(self, trial: Trial, word: str) -> str:
        if word in ("starts", "goes on"):
            values = ", ".join(f"{key} {show_value(value)}" for key, value in trial.values.items())
            return f"trial {trial.number} of {self._samples}: {word} with {values}"
        value = "" if trial.value is None else f"{self._metric} {trial.value:.4f}"
        return f"trial {trial.number}: {word or f'epoch {trial.epoch:.3g}'}{', ' if value else ''}{value}"
