"""Between Ray Tune and the journal: the next point for Ray Tune, and what becomes of each trial."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from tune.journal import Journal, Trial
from tune.proposals import Proposer
from tune.schedulers import remember
from tune.tracking import parameters
from tune.trial import EPOCH, VALUE, name_of

ERROR = re.compile(r"^(\w[\w.]*(?:Error|Exception|Interrupt): .*)$", re.MULTILINE)
DEATH = re.compile(
    "The actor died unexpectedly|The actor [0-9a-f]+ is unavailable|"
    "ActorDiedError|ActorUnavailableError|WorkerCrashedError|NodeDiedError|OutOfMemoryError"
)
MLFLOW_STATUS = {"done": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}


def config_of(trial: Trial) -> dict[str, Any]:
    """Return a point as Ray Tune carries it: as a text, which it does not look into."""
    point = {"number": trial.number, "values": json.dumps(trial.values), "replaced": trial.replaced}
    return {"point": point}


def number_of(trial: Any) -> int:
    """Return the number of Ray Tune's trial."""
    return int(trial.config["point"]["number"])


class Unkept:
    """Ray Tune pickles what it is given, for a restore of its own; the journal is what is kept of these."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Pickle nothing of it."""
        return Unkept, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class Points(Unkept, Searcher):
    """Gives Ray Tune the trials that an earlier attempt did not end, then what `propose` says, `samples` in all."""

    def __init__(self, journal: Journal, propose: Proposer, samples: int, scheduler: TrialScheduler) -> None:
        super().__init__()
        self._journal, self._propose, self._samples, self._scheduler = journal, propose, samples, scheduler
        begun = journal.trials.values()
        self._unfinished = [trial for trial in begun if trial.status == "running"]
        self._ended = [trial for trial in begun if trial.status != "running"]
        self._next = max(journal.trials, default=-1) + 1
        self._waiting: dict[int, Trial] = {}  # proposed, and not begun yet

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        """Return True: they are known."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial, or that there are no more."""
        while self._ended:
            trial = self._ended.pop()
            remember(self._scheduler, trial, f"ended-{trial.number}")
        if self._unfinished:
            trial = self._unfinished.pop(0)
            remember(self._scheduler, trial, trial_id)
            return config_of(trial)
        if self._next >= self._samples:
            return Searcher.FINISHED
        for number in [number for number in self._waiting if number in self._journal.trials]:
            del self._waiting[number]
        known = [*self._journal.trials.values(), *self._waiting.values()]
        values = self._propose(self._next, known)
        if values is None:
            return Searcher.FINISHED
        trial = self._waiting[self._next] = Trial(self._next, values, "")
        self._next += 1
        return config_of(trial)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the journal says it."""

    def save(self, checkpoint_path: str) -> None:
        """Write an empty file: the journal is what is kept; Ray Tune moves the file."""
        open(checkpoint_path, "wb").close()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is what is kept."""


class Watcher(Unkept, Callback):
    """Enters what Ray Tune tells into the journal and MLflow, and calls `show` with the trial and a word on it."""

    def __init__(self, journal: Journal, tracker: Any, show: Callable[[Trial, str], None]) -> None:
        self._journal, self._tracker, self._show = journal, tracker, show
        self._finished: set[int] = set()
        self._failed: dict[int, str] = {}

    def _write(self, event: str, trial: Any, **facts: Any) -> Trial:
        return self._journal.write({"event": event, "trial": number_of(trial), **facts})

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that its process is there; again after a retry, and after pbt replaced it."""
        point = trial.config["point"]
        entered = self._write(
            "start",
            trial,
            values=json.loads(point["values"]),
            replaced=point["replaced"],
            epoch=point.get("epoch", 0.0),
            **{"from": point.get("from")},
        )
        params = parameters(entered.values) if not entered.replaced else {}
        self._tracker.open.remote(entered.number, name_of(entered.number), params, {})
        self._show(entered, "starts" if not entered.results else "goes on")

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Note a validation, or that it failed in a way that would come again."""
        number = number_of(trial)
        if "failed" in result:
            self._failed[number] = result["failed"]
        elif VALUE in result:
            if "kept" in result:
                self._write("checkpoint", trial, path=result["kept"])
            seen = self._journal.trials[number].results
            if not (seen and seen[-1]["step"] == result["step"]):  # the end of an early stop tells the last one again
                shown = {"epoch": result[EPOCH], "step": result["step"], "metrics": result["metrics"]}
                self._show(self._write("result", trial, **shown), "")
            if result["finished"]:
                self._finished.add(number)

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        """Note where it is kept now."""
        self._write("checkpoint", trial, path=checkpoint.path)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that its process died, or raised what may not come again; Ray Tune starts another."""
        self._show(self._write("retry", trial, error=reason(trial)), "failed; once more")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that it has ended by itself, or was stopped by the scheduler."""
        number = number_of(trial)
        if number in self._failed:
            self._end(trial, "failed", self._failed[number])
        else:
            self._end(trial, "done" if number in self._finished else "stopped", None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that its last try failed."""
        self._end(trial, "failed", reason(trial))

    def _end(self, trial: Any, status: str, error: str | None) -> None:
        ended = self._write("end", trial, status=status, error=error)
        self._tracker.end.remote(ended.number, MLFLOW_STATUS[status], {"zoetrope.trial": status})
        self._show(ended, status if not error else f"failed: {error}")


def reason(trial: Any) -> str:
    """Return what ended a trial's process the last time, in a line."""
    file = Path(trial.error_file or "")  # `get_error` looks where Ray Tune copies it now and then
    text = file.read_text().rpartition("Failure # ")[2] if file.is_file() else "no message"
    if DEATH.search(text):
        return "its process died (killed, out of memory, or a crash in native code)"
    raised = ERROR.findall(text)
    return str(raised[-1] if raised else text.strip().splitlines()[-1])[:500]
