"""What happened in a search, a JSON line an event: the driver alone writes it, and a search that was killed reads it.

    {"event": "start", "trial": 3, "values": {...}, "replaced": 0, "from": null, "epoch": 0.0}
    {"event": "result", "trial": 3, "epoch": 1.0, "step": 22, "metrics": {...}}
    {"event": "checkpoint", "trial": 3, "path": "..."}
    {"event": "retry", "trial": 3, "error": "..."}
    {"event": "end", "trial": 3, "status": "done", "error": null}

Each with `time_s`, seconds since 1970.
"""

import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

EVENTS = "events.jsonl"
Status = Literal["running", "done", "stopped", "failed"]


@dataclass
class Trial:
    """One trial as it stands. `done`: trained to its end; `stopped`: by the scheduler; `failed`: see `error`."""

    number: int
    values: dict[str, Any]
    metric: str
    status: Status = "running"
    results: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    """By which values its weights came to be: each from an epoch on. More than one with pbt alone."""
    replaced: int = 0
    """How often pbt let it go on from another trial's weights."""
    checkpoint: str | None = None
    error: str | None = None
    retries: int = 0
    began_s: float = 0.0
    seconds: float = 0.0

    @property
    def epoch(self) -> float:
        """Epochs trained."""
        return float(self.results[-1]["epoch"]) if self.results else 0.0

    @property
    def metrics(self) -> dict[str, float]:
        """Of the last validation."""
        return dict(self.results[-1]["metrics"]) if self.results else {}

    @property
    def value(self) -> float | None:
        """The metric that is searched for, as it was last; None when there is none, or it is not finite."""
        value = self.metrics.get(self.metric)
        return value if value is not None and math.isfinite(value) else None


def apply(trials: dict[int, Trial], event: Mapping[str, Any], metric: str) -> Trial:
    """Enter one event; returns its trial."""
    number = int(event["trial"])
    if number not in trials:
        trials[number] = Trial(number, dict(event["values"]), metric, began_s=event.get("time_s", 0.0))
    trial = trials[number]
    trial.seconds = event.get("time_s", 0.0) - trial.began_s
    match event["event"]:
        case "start":
            if not trial.history or event["replaced"] != trial.replaced:
                trial.values, trial.replaced = dict(event["values"]), event["replaced"]
                before = trials[event["from"]].history if event["from"] is not None else []
                new = {"epoch": event["epoch"], "from": event["from"], "values": trial.values}
                trial.history = [*(entry for entry in before if entry["epoch"] < event["epoch"]), new]
        case "result":
            trial.results.append({key: event[key] for key in ("epoch", "step", "metrics")})
        case "checkpoint":
            trial.checkpoint = event["path"]
        case "retry":
            trial.retries += 1
            trial.error = event["error"]
        case "end":
            trial.status, trial.error = event["status"], event["error"]
    return trial


class Journal:
    """The events of the search in `folder`, and the trials that they make; those of an earlier attempt are read."""

    def __init__(self, folder: Path, metric: str) -> None:
        self.folder, self._metric = folder, metric
        self.trials: dict[int, Trial] = {}
        path = folder / EVENTS
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break  # a killed driver was writing it
                apply(self.trials, json.loads(line), metric)
                whole += len(line)
        self._file = path.open("ab")
        self._file.truncate(whole)

    def write(self, event: Mapping[str, Any]) -> Trial:
        """Enter an event; it is on the disk when this returns."""
        event = {**event, "time_s": round(time.time(), 3)}
        trial = apply(self.trials, event, self._metric)
        self._file.write(json.dumps(event).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        return trial

    def close(self) -> None:
        """Close the file: no more events come."""
        self._file.close()


def ranked(trials: Iterable[Trial], mode: str) -> list[Trial]:
    """Sort trials, best first: those that were trained to their end, then the others by how they stood last.

    Failed ones last.
    """
    places = {"done": 0, "stopped": 1, "running": 1, "failed": 2}

    def place(trial: Trial) -> tuple[Any, ...]:
        value = trial.value
        if value is None or trial.status == "failed":
            return (3, 0.0, trial.number)
        return (places[trial.status], -value if mode == "max" else value, trial.number)

    return sorted(trials, key=place)


def winner(trials: Sequence[Trial], mode: str) -> Trial | None:
    """Return the best trial that did not fail; None when there is none."""
    best = next(iter(ranked(trials, mode)), None)
    return best if best is not None and best.status != "failed" and best.value is not None else None
