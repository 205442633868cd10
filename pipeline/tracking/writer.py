"""The one writer of a training's metrics: it spools at once and ships when MLflow answers."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.tracking.address import Tracking
from pipeline.tracking.client import client, quiet, reason
from pipeline.tracking.names import mlflow_name
from pipeline.tracking.spool import Spool
from pipeline.tracking.system import read_system

LOG = logging.getLogger(__name__)
GATHER_S = 1.0  # points of one second go in one request
LONGEST_PAUSE_S = 30.0  # between two tries at a server that does not answer
FLUSH_PAUSE_S = 0.5


class Writer:
    """Takes points at once and gets them to MLflow some time, each once.

    A server that is down, slow or hung never blocks `points`; what it did not take stays in `spool_folder`, and the
    next Writer on that folder sends it. Without a `run_id` (the server was down when training began) points are
    spooled until `open_late` gives one. With `system_every_s`, the machine's CPU, memory and GPUs are spooled too, at
    most once a training step.
    """

    def __init__(
        self,
        tracking: Tracking,
        run_id: str | None,
        spool_folder: Path,
        open_late: Callable[[], str | None] | None = None,
        system_every_s: float | None = 10.0,
    ) -> None:
        self._tracking = tracking
        self._run_id = run_id
        self._open_late = open_late
        self._folder = spool_folder
        self._spool = Spool(spool_folder)
        self._step = 0
        self._said: set[str] = set()
        self._sent = threading.Condition()  # guards the spool's end and the count below; never held over a request
        self._unsent = self._spool.unsent(run_id)
        self._hurry = threading.Event()
        self._closed = threading.Event()
        self._shipper = threading.Thread(target=self._ship_on, name="mlflow-writer", daemon=True)
        self._shipper.start()
        if system_every_s is not None:
            threading.Thread(
                target=self._watch_system, args=(system_every_s,), name="mlflow-system", daemon=True
            ).start()

    def points(self, step: int, metrics: dict[str, float]) -> None:
        """Keep these points, `{metric: value}` at an optimizer step, and return. Never blocks on MLflow, never raises.

        NaN and infinities are kept as such. Steps that a metric has been through already are left out.
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
                self._unsent += self._spool.append(int(step), values, time.time_ns() // 1_000_000)
            except (OSError, ValueError) as error:
                self._say_once("spool", f"Metrics are lost: the spool {self._folder} takes none ({reason(error)}).")

    def run_id(self) -> str | None:
        """The MLflow run of the points, None while there is none."""
        return self._run_id

    def flush(self, timeout_s: float) -> int:
        """Ship now; return how many points are still unsent when all are gone or the time is up."""
        deadline = time.monotonic() + timeout_s
        with self._sent:
            while self._unsent and (left_s := deadline - time.monotonic()) > 0:
                self._hurry.set()
                self._sent.wait(min(left_s, FLUSH_PAUSE_S))
            return self._unsent

    def close(self, timeout_s: float) -> int:
        """Flush, stop, and return how many points stay in the spool for the next Writer, which is also said."""
        unsent = self.flush(timeout_s)
        self._closed.set()
        self._hurry.set()
        self._shipper.join(timeout=1.0)  # a request to a hung server may last longer: the thread is a daemon
        if unsent:
            LOG.warning(
                f"{unsent} metric points are not in MLflow at {self._tracking.shown} yet. "
                f"They are kept in {self._folder} and sent when this run is started again."
            )
        return unsent

    def _ship_on(self) -> None:
        quiet()
        pause_s = GATHER_S
        while not self._closed.is_set():
            self._hurry.wait(pause_s)
            self._hurry.clear()
            pause_s = GATHER_S if self._ship() else min(2 * pause_s, LONGEST_PAUSE_S)

    def _ship(self) -> bool:
        """Send all that is spooled; False when MLflow did not take it."""
        try:
            if self._run_id is None and not self._adopt_run():
                return False
            while self._unsent and self._ship_batch(str(self._run_id)):
                pass
        except Exception as error:  # whatever MLflow, its database or its server raise: the points are in the spool
            self._say_once(
                "down",
                f"MLflow at {self._tracking.shown} takes no metrics now ({reason(error)}). "
                f"They are kept in {self._folder} and sent when it answers.",
            )
            return False
        if "down" in self._said:
            self._said.discard("down")
            LOG.warning(f"MLflow at {self._tracking.shown} answers again, and has all metrics.")
        return True

    def _adopt_run(self) -> bool:
        run_id = self._open_late() if self._open_late else None
        if run_id is None:
            return False
        with self._sent:
            self._run_id = run_id
            self._unsent = self._spool.unsent(run_id)
        return True

    def _ship_batch(self, run_id: str) -> bool:
        from mlflow.entities import Metric

        points, end = self._spool.batch(run_id)
        if points:
            metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in points]
            client(self._tracking).log_batch(run_id, metrics=metrics, synchronous=True)
            self._spool.mark(run_id, end)
        with self._sent:
            # Counted anew at the end: a Writer of a killed driver may have sent some of it meanwhile.
            self._unsent = max(0, self._unsent - len(points)) if points else self._spool.unsent(run_id)
            self._sent.notify_all()
        return bool(points)

    def _watch_system(self, every_s: float) -> None:
        read_system()  # psutil's first CPU reading has nothing to compare with
        while not self._closed.wait(every_s):
            self.points(self._step, read_system())

    def _say_once(self, key: str, words: str) -> None:
        if key not in self._said:
            self._said.add(key)
            LOG.warning(words)
