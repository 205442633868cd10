"""The one writer of an MLflow run: it keeps all at once in the run's outbox, and ships when MLflow answers."""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.address import Tracking
from pipeline.tracking.client import NoAnswer, client, is_refusal, ping, quiet, reason
from pipeline.tracking.curves import thinned
from pipeline.tracking.mlflow_run import (
    experiment_of,
    log_dataset,
    log_files,
    log_images,
    open_run,
    set_status,
    set_tags,
)
from pipeline.tracking.model import log_model, score_models
from pipeline.tracking.names import mlflow_name
from pipeline.tracking.outbox import FILES, Outbox
from pipeline.tracking.registry import register
from pipeline.tracking.system import read_system
from pipeline.tracking.view import set_view

if TYPE_CHECKING:
    from pipeline.tracking.mlflow_run import Status

LOG = logging.getLogger(__name__)
GATHER_S = 1.0  # points of one second go in one request
LONGEST_PAUSE_S = 30.0  # between two tries at a server that does not answer
FLUSH_PAUSE_S = 0.5
JOIN_S = 2.0


class Writer:
    """Takes what belongs to an MLflow run at once, and gets it there some time, each point once.

    A server that is down, slow or hung never blocks the caller; what it did not take stays in `folder`, the run's
    outbox, and the next Writer on that folder sends it. The outbox must know the run (`Outbox.update`); it is found or
    created when MLflow answers. With `system_every_s`, the machine's CPU, memory and GPUs are kept too, at most once a
    training step.
    """

    def __init__(self, tracking: Tracking, folder: Path, system_every_s: float | None = None) -> None:
        self._tracking = tracking
        self._outbox = Outbox(folder)
        self._step = 0
        self._said: set[str] = set()
        self._sent = threading.Condition()  # guards the points' end and the counts below; never held over a request
        self._run_id: str | None = None
        self._experiment_id: str | None = None
        self._unsent = self._outbox.points.unsent(self._outbox.run().get("run_id"))
        self._tries = self._failed_try = 0
        self._model_uri: str | None = None
        self._hurry = threading.Event()
        self._closed = threading.Event()
        self._shipper = threading.Thread(target=self._ship_on, name="mlflow-writer", daemon=True)
        self._shipper.start()
        if system_every_s is not None:
            threading.Thread(
                target=self._watch_system, args=(system_every_s,), name="mlflow-system", daemon=True
            ).start()

    @property
    def run_id(self) -> str | None:
        """The MLflow run, None while it could not be found or created."""
        return self._run_id

    @property
    def experiment_id(self) -> str | None:
        """The experiment of the MLflow run, None while that could not be found or created."""
        return self._experiment_id

    @property
    def model_uri(self) -> str | None:
        """`models:/ID` of the last model that this Writer sent."""
        return self._model_uri

    def points(self, step: int, metrics: Mapping[str, float], maker: str = "") -> None:
        """Keep these points, `{metric: value}` at an optimizer step, and return. Never blocks on MLflow, never raises.

        NaN and infinities are kept as such. Steps at which this maker has made the metric already are left out.
        """
        values: dict[str, float] = {}
        for key, value in metrics.items():
            try:
                values[mlflow_name(key)] = float(value)
            except (TypeError, ValueError):
                self._say_once(f"metric {key}", f"Metric {key!r} is not a number ({type(value).__name__}): left out.")
        with self._sent:
            self._step = max(self._step, int(step))
            try:
                self._unsent += self._outbox.points.append(int(step), values, time.time_ns() // 1_000_000, maker)
            except (OSError, ValueError) as error:
                self._say_once("spool", f"Metrics are lost: {self._outbox.folder} takes none ({reason(error)}).")

    def curves(self) -> dict[str, list[list[Any]]]:
        """Return a few points of each curve of the training, see `thinned`."""
        return thinned(self._outbox.points.all())

    def dataset(self, facts: Mapping[str, Any]) -> None:
        """Keep what the run trains on: the arguments `name`, `digest`, `source` and `profile` of `runs.log_dataset`."""
        self._keep("dataset", facts, {})

    def files(self, files: Mapping[str, Path]) -> None:
        """Keep files, `{artifact path: local file}`."""
        self._keep("files", {}, files)

    def images(self, files: Mapping[str, Path]) -> None:
        """Keep pictures for MLflow's image grids, `{name: local file}`."""
        self._keep("images", {}, {f"{name}{path.suffix}": path for name, path in files.items()})

    def tags(self, tags: Mapping[str, str]) -> None:
        """Keep tags, in place of those of the same names."""
        self._keep("tags", tags, {})

    def model(self, name: str, folder: Path) -> None:
        """Keep a model, a folder of `save_model`."""
        paths = [path for path in folder.rglob("*") if path.is_file()]
        self._keep("model", {"name": name}, {path.relative_to(folder).as_posix(): path for path in paths})

    def status(self, status: "Status", tags: Mapping[str, str] | None = None) -> None:
        """Keep the status that the run is to have, and tags that are set with it."""
        try:
            self._outbox.update(status=status, status_ms=time.time_ns() // 1_000_000, status_tags=tags)
        except OSError as error:
            self._say_once("status", f"MLflow will not hear of status {status} ({reason(error)}).")

    def left(self) -> tuple[int, int]:
        """Return how many metric points and how many other things MLflow does not have yet."""
        return self._unsent, len(self._outbox.calls()) + bool(self._outbox.status_to_send())

    def flush(self, timeout_s: float) -> tuple[int, int]:
        """Ship now; return what is `left` when all is gone, MLflow did not take it, or the time is up."""
        deadline = time.monotonic() + timeout_s
        with self._sent:
            tries = self._tries
            while any(self.left()) and self._failed_try <= tries and (left_s := deadline - time.monotonic()) > 0:
                self._hurry.set()
                self._sent.wait(min(left_s, FLUSH_PAUSE_S))
            return self.left()

    def close(self, timeout_s: float) -> tuple[int, int]:
        """Flush and stop. Say what is `left` and where it stays; a finished run leaves no trace when nothing is."""
        points, others = self.flush(timeout_s)
        self._closed.set()
        self._hurry.set()
        self._shipper.join(JOIN_S)  # a request to a hung server may last longer: the thread is a daemon
        if points or others:
            LOG.warning(
                f"{points} metric points and {others} other results (files, model, status) are not in MLflow at "
                f"{self._tracking.shown} yet. They are kept in {self._outbox.folder}; the next run on this store, "
                "the same one or another, sends them."
            )
        return points, others

    def _keep(self, kind: str, facts: Mapping[str, Any], files: Mapping[str, Path]) -> None:
        try:
            self._outbox.keep(kind, facts, files)
        except OSError as error:
            what = f"{kind} {', '.join(files)}".strip()
            LOG.warning(f"Not for MLflow: {what}: {self._outbox.folder} does not take it ({reason(error)}).")

    def _ship_on(self) -> None:
        quiet()
        pause_s = GATHER_S
        while not self._closed.is_set():
            self._hurry.wait(pause_s)
            self._hurry.clear()
            pause_s = GATHER_S if self._ship() else min(2 * pause_s, LONGEST_PAUSE_S)
        # Here, because a last request may last longer than `close` waits.
        done = self._outbox.run().get("status") == "FINISHED" and not any(self.left())
        self._outbox.remove() if done else self._outbox.close()

    def _ship(self) -> bool:
        """Send all that is kept; False when MLflow did not take all of it."""
        if not any(self.left()):
            return True
        self._tries += 1
        try:
            ping(self._tracking)
            self._ship_all(self._run_id or self._open())
        except Exception as error:  # whatever MLflow, its database or its server raise: what was not sent is kept
            answer = f"does not answer ({error})" if isinstance(error, NoAnswer) else f"fails now ({reason(error)})"
            self._say_once(
                "down",
                f"MLflow at {self._tracking.shown} {answer}. The run goes on without it; what it misses is kept in "
                f"{self._outbox.folder} and sent when it answers.",
            )
            with self._sent:
                self._failed_try = self._tries
                self._sent.notify_all()
            return False
        if "down" in self._said:
            self._said.discard("down")
            LOG.warning(f"MLflow at {self._tracking.shown} answers again, and has all that it missed.")
        return True

    def _open(self) -> str:
        run = self._outbox.run()
        before = run.get("run_id")
        described = {name: run.get(name) for name in ("params", "tags", "began_ms")}
        run_id = open_run(self._tracking, run["experiment"], run["name"], self._outbox.folder.name, before, **described)
        if run_id != before:
            self._outbox.update(run_id=run_id, status_sent=None)
        experiment_id = experiment_of(self._tracking, run_id)
        set_view(self._tracking, experiment_id)
        with self._sent:
            self._run_id, self._experiment_id = run_id, experiment_id
            self._unsent = self._outbox.points.unsent(run_id)
        return run_id

    def _ship_all(self, run_id: str) -> None:
        """Send points, then files and the like, then the status.

        What fails is raised when the others have had their try.
        """
        while self._unsent and self._ship_batch(run_id):
            pass
        failure = None
        for call in self._outbox.calls():
            with self._outbox.take(call) as content:
                try:
                    if content is not None:
                        self._send(run_id, call, content)
                        self._outbox.drop(call)
                except Exception as error:
                    if is_refusal(error):
                        LOG.warning(f"MLflow at {self._tracking.shown} refuses {call.name} ({reason(error)}).")
                        self._outbox.drop(call)
                    else:
                        failure = error
        if status := self._outbox.status_to_send():
            run = self._outbox.run()
            if status == "FINISHED":  # the model may have been sent before it was measured
                score_models(self._tracking, run_id)
                if registered := run.get("register"):
                    register(self._tracking, run_id, **registered)
            set_status(self._tracking, run_id, status, run.get("status_ms"), run.get("status_tags"))
            self._outbox.update(status_sent=status)
        with self._sent:
            self._sent.notify_all()
        if failure:
            raise failure

    def _ship_batch(self, run_id: str) -> bool:
        from mlflow.entities import Metric

        points, end = self._outbox.points.batch(run_id)
        if points:
            metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in points]
            client(self._tracking).log_batch(run_id, metrics=metrics, synchronous=True)
            self._outbox.points.mark(run_id, end)
        with self._sent:
            # Counted anew at the end: another Writer on this folder may have sent some of it meanwhile.
            self._unsent = max(0, self._unsent - len(points)) if points else self._outbox.points.unsent(run_id)
            self._sent.notify_all()
        return bool(points)

    def _send(self, run_id: str, call: Path, content: dict[str, Any]) -> None:
        facts, files = content["facts"], call / FILES
        if any(path.is_symlink() for path in call.rglob("*")):
            raise ValueError(f"{call} holds a link, and its target is not ours to send")
        if content["kind"] == "dataset":
            log_dataset(self._tracking, run_id, **facts)
        elif content["kind"] == "files":
            log_files(self._tracking, run_id, files)
        elif content["kind"] == "images":
            log_images(self._tracking, run_id, files)
        elif content["kind"] == "tags":
            set_tags(self._tracking, run_id, facts)
        else:
            self._model_uri = log_model(self._tracking, run_id, facts["name"], call.name, files)
            score_models(self._tracking, run_id)

    def _watch_system(self, every_s: float) -> None:
        read_system()  # psutil's first CPU reading has nothing to compare with
        while not self._closed.wait(every_s):
            self.points(self._step, read_system())

    def _say_once(self, key: str, words: str) -> None:
        if key not in self._said:
            self._said.add(key)
            LOG.warning(words)
