"""The MLflow runs of a search: a parent, and a child a trial; one actor writes them all."""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.redact import redact, redact_values
from pipeline.cluster.tracker import POINTS, Voice
from pipeline.graph.plan import leaves
from pipeline.tracking.address import Tracking

if TYPE_CHECKING:
    from pipeline.tracking.mlflow_run import Status
    from pipeline.tracking.writer import Writer

LOG = logging.getLogger("pipeline.tracking.tune")  # whose warnings reach the user
PARENT = -1
"""The number of the parent among the trials."""
PARENT_S = 120.0
"""For MLflow to open the parent, whose id the children carry."""
FLUSH_S = 60.0
"""A server that is down costs one try of it, not all of this."""


class SearchTracker:
    """Keeps what the runs of one search are to get, and ships it when MLflow answers. An actor (`num_cpus=0`).

    `spool`: the store's folder for what is not sent yet; `name`: the search's, by which its runs are found again.
    """

    def __init__(self, tracking: Tracking, experiment: str, spool: Path, name: str) -> None:
        self._tracking, self._experiment, self._spool, self._name = tracking, experiment, spool, name
        self._writers: dict[int, Writer] = {}
        self._parent_id: str | None = None
        self._early: dict[int, list[tuple[Any, ...]]] = {}
        self._lock = threading.Lock()  # points come in a thread of their own
        self._voice = Voice()
        logging.getLogger("pipeline.tracking").addHandler(self._voice)

    def open(self, number: int, name: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        """Keep what comes from now on for the run of that number, which is found or created."""
        from pipeline.tracking.outbox import Outbox
        from pipeline.tracking.writer import Writer

        if number in self._writers:
            return
        parent = {"mlflow.parentRunId": self._parent_id} if self._parent_id else {}
        try:
            outbox = Outbox(self._spool / self._key(number))
            now_ms = time.time_ns() // 1_000_000
            outbox.update(
                address=self._tracking.shown,
                experiment=self._experiment,
                name=name,
                params=params,
                tags=parent | {"zoetrope.search": self._name} | tags,
                run_id=outbox.run().get("run_id"),
                began_ms=outbox.run().get("began_ms") or now_ms,
                status="RUNNING",
                status_ms=now_ms,
                status_sent=None,  # a killed search has sent it, and with nothing to send the run is not opened
            )
            outbox.close()
            writer = Writer(self._tracking, self._spool / self._key(number))
            with self._lock:
                self._writers[number] = writer
                for point in self._early.pop(number, []):
                    writer.points(*point)
        except OSError as error:
            LOG.warning(f"MLflow gets nothing of {name}: {self._spool} cannot be written ({error.strerror}).")
            return
        if number == PARENT:
            self._writers[number].flush(PARENT_S)
            self._parent_id = self._writers[number].run_id

    def _key(self, number: int) -> str:
        return self._name if number == PARENT else f"{self._name}-{number:04d}"

    def points(self, number: int, step: int, metrics: dict[str, float], maker: str = "") -> None:
        """Keep metrics of a step; before `open`, while MLflow still opens the parent, too."""
        with self._lock:
            if writer := self._writers.get(number):
                writer.points(step, metrics, maker)
            else:
                self._early.setdefault(number, []).append((step, metrics, maker))

    def files(self, number: int, files: dict[str, Path]) -> None:
        """Keep files, `{artifact path: local file}`."""
        if writer := self._writers.get(number):
            writer.files(files)

    def end(self, number: int, status: "Status", tags: dict[str, str] | None = None) -> list[str]:
        """Set the status of a run, and tags, and ship what is left; what there is to say.

        With the parent all that still run have ended: after Ctrl-C the trials, too.
        """
        for each in list(self._writers) if number == PARENT else [number]:
            if writer := self._writers.pop(each, None):
                writer.status(status, tags)
                writer.close(FLUSH_S)
        messages, self._voice.kept = self._voice.kept, []
        return messages

    def tag(self, number: int, tags: dict[str, str]) -> None:
        """Set tags of a run that has ended; nothing when MLflow is away."""
        from pipeline.tracking.client import client, ping
        from pipeline.tracking.mlflow_run import open_run

        with suppress(Exception):
            ping(self._tracking)
            name = self._key(number)
            run_id = open_run(self._tracking, self._experiment, name, name)
            for key, value in tags.items():
                client(self._tracking).set_tag(run_id, key, value)


@dataclass(frozen=True)
class Child:
    """The tracker as one trial's training sees it."""

    actor: Any
    number: int

    def send(self, *point: Any) -> Any:
        """Send the metrics of a step and return at once, with what `wait_until_sent` waits for."""
        return self.actor.points.options(concurrency_group=POINTS).remote(self.number, *point)


def start_search_tracker(tracking: Tracking, experiment: str, store: Path, name: str) -> Any:
    """Start the actor, on this node. Ray must be initialised."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote
    actor = remote(num_cpus=0, scheduling_strategy=here, concurrency_groups={POINTS: 1})(SearchTracker)
    return actor.remote(tracking, experiment, store / "spool", name)


def parameters(values: dict[str, Any]) -> dict[str, Any]:
    """Flatten to dotted keys for MLflow, without secrets."""
    return {key: redact(value) if isinstance(value, str) else value for key, value in leaves(redact_values(values))}
