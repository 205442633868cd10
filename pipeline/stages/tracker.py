"""MLflow as the stages see it: one actor beside the driver that alone loads MLflow, for all stages of a run.

No stage waits for MLflow, and none stops for it. Metric points are spooled to the store at once and shipped by a
thread; a run that cannot be opened now is opened later, and gets then what was meant for it.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.graph import Context, Report
from pipeline.recipe import Recipe, plain
from pipeline.redact import redact, redact_values
from pipeline.store import Parts
from pipeline.tracking.address import Tracking

if TYPE_CHECKING:
    from pipeline.tracking.runs import Status
    from pipeline.tracking.writer import Writer

RUN_ID_FILE = "mlflow_run_id"
FLUSH_S = 20.0
FLUSH_AFTER_FAILURE_S = 2.0
SYSTEM_EVERY_S = 10.0
SETTLE_S = 5.0
POINTS = "points"
PLACES = ("store", "tracking")
"""Sections of the recipe that say where things are kept, and nothing of the training."""


@dataclass(frozen=True)
class Services:
    """What the driver hands to stages beside the recipe: the `Tracker` actor."""

    tracker: Any


class Tracker:
    """The MLflow run of one driver's run. Runs as an actor (`num_cpus=0`) on the driver's node.

    `store` is the store's folder on this node, `run_folder` the record of this run in it, where the MLflow run's id is
    left.
    """

    def __init__(self, tracking: Tracking, recipe: Recipe, store: Path, run_folder: Path) -> None:
        from pipeline.tracking.client import quiet

        self._tracking, self._recipe, self._store, self._run_folder = tracking, recipe, store, run_folder
        self._run_id: str | None = None
        self._known: str | None = None
        self._writer: Writer | None = None
        self._pending: list[Callable[[str], Any]] = []
        self._opening = threading.RLock()
        self._voice = _Voice()
        logging.getLogger("pipeline.tracking").addHandler(self._voice)
        quiet()  # takes seconds, and has them while the first stages work
        self._leftovers = threading.Thread(target=self._ship_leftovers, daemon=True)
        self._leftovers.start()

    def take_up(self, progress: Report, run_id: str | None) -> None:
        """Go on with an MLflow run that another run began; what goes wrong from now on is told to `progress`."""
        self._voice.progress = progress
        self._known = self._known or run_id

    def write(self, spool: str, system_every_s: float | None = None, parts: Parts | None = None) -> None:
        """Take points from now on, into a spool of that name, where the MLflow run's id is kept too.

        With `parts` it is kept among them as well, for an attempt on another machine.
        """
        from pipeline.tracking.writer import Writer

        folder = self._store / "spool" / spool
        kept = folder / RUN_ID_FILE
        self._known = self._known or (kept.read_text() if kept.exists() else None)
        if parts:
            with suppress(ZoetropeError):
                self._known = self._known or (parts.finished(RUN_ID_FILE) or {}).get("run_id")

        def open_and_keep() -> str | None:
            if run_id := self._open():
                kept.write_text(run_id)
                if parts:
                    with suppress(ZoetropeError):
                        parts.finish(RUN_ID_FILE, {}, {"run_id": run_id})
            return run_id

        self._writer = Writer(self._tracking, None, folder, open_and_keep, system_every_s)

    def points(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the metrics of a step; see `Writer.points`."""
        if self._writer:
            self._writer.points(step, metrics)

    def log_dataset(self, digest: str, source: str, profile: dict[str, int]) -> None:
        """Note what the run trains on."""
        from pipeline.tracking import runs

        self._now_or_later(
            lambda run_id: runs.log_dataset(self._tracking, run_id, self._recipe.name, digest, source, profile)
        )

    def log_files(self, files: dict[str, Path]) -> None:
        """Copy files to the run's artifacts: `{artifact path: local file}`."""
        from pipeline.tracking import runs

        self._now_or_later(lambda run_id: runs.log_files(self._tracking, run_id, files))

    def log_model(self, folder: Path) -> str | None:
        """Log a folder of `save_model` as the run's model; its URI, None when MLflow is away."""
        from pipeline.tracking import model

        run_id = self._open()
        return model.log_model(self._tracking, run_id, self._recipe.name, folder) if run_id else None

    def close(self, timeout_s: float) -> str | None:
        """Ship the points, say what is left of them, and return the MLflow run, None when there is none."""
        writer, self._writer = self._writer, None
        if writer:  # where no run could be opened, waiting will not help
            writer.close(timeout_s if self._open() else 0)
        return self._run_id

    def end(self, status: "Status") -> list[str]:
        """Ship what is left and set the status of the run; what there is to say about it, since no stage is left."""
        from pipeline.tracking import runs

        self._voice.progress = None
        self.close(FLUSH_AFTER_FAILURE_S)
        if self._run_id:
            runs.end_run(self._tracking, self._run_id, status)
        return self._voice.kept

    def _open(self) -> str | None:
        """Take up the known run, or begin one with the recipe's keys as parameters; None when MLflow is away."""
        from pipeline.tracking import runs

        with self._opening:
            if self._run_id is None:
                values = plain(self._recipe)
                self._run_id = runs.open_run(
                    self._tracking,
                    self._recipe.tracking.experiment or self._recipe.name,
                    self._recipe.name,
                    self._known,
                    dict(flatten({key: redact_values(v) for key, v in values.items() if key not in PLACES})),
                    {"zoetrope.store": redact(self._recipe.store), "zoetrope.run": self._run_folder.name},
                )
            if self._run_id:
                (self._run_folder / RUN_ID_FILE).write_text(self._run_id)
                while self._pending:
                    self._pending.pop(0)(self._run_id)
            return self._run_id

    def _now_or_later(self, work: Callable[[str], Any]) -> None:
        with self._opening:
            self._pending.append(work)
            self._open()

    def _ship_leftovers(self) -> None:
        """Send the points that an earlier run had to leave behind."""
        from pipeline.tracking.spool import Spool
        from pipeline.tracking.writer import Writer

        for kept in sorted((self._store / "spool").glob(f"*/{RUN_ID_FILE}")):
            with suppress(OSError):
                run_id = kept.read_text()
                if not Spool(kept.parent).unsent(run_id):
                    continue
                if Writer(self._tracking, run_id, kept.parent, system_every_s=None).close(FLUSH_S):
                    return  # MLflow is away


class _Voice(logging.Handler):
    """Hands warnings to the stage that works now, and keeps them when there is none: an actor has no terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.progress: Report | None = None
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one warning on."""
        if self.progress:
            self.progress.say(record.getMessage())
        else:
            self.kept.append(record.getMessage())


def start_tracker(tracking: Tracking, recipe: Recipe, store: Path, run_folder: Path) -> Any:
    """The actor, on this node. Ray must be initialised."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote  # its stub knows fewer strategies than it takes
    # Points have a thread of their own there, so that files on their way to a slow server do not hold them up.
    actor = remote(num_cpus=0, scheduling_strategy=here, concurrency_groups={POINTS: 1})(Tracker)
    return actor.remote(tracking, recipe, store, run_folder)


def begin(context: Context, spool: str, run_id: str | None = None, system_every_s: float | None = None) -> Any:
    """The tracker, taking points into `spool` from now on; hand it to `send` on any worker."""
    actor = context.services.tracker
    actor.take_up.remote(context.progress, run_id)
    actor.write.remote(spool, system_every_s, None if context.parts.shared else context.parts)
    return actor


def send(tracker: Any, step: int, metrics: dict[str, float]) -> Any:
    """Send the metrics of a step and return at once, with what `settle` waits for."""
    return tracker.points.options(concurrency_group=POINTS).remote(step, metrics)


def settle(sent: Any) -> None:
    """Wait, for seconds at most, until points are on disk. Points from before a checkpoint are never made again."""
    import ray

    ray.wait([sent], timeout=SETTLE_S)


def finish(context: Context) -> str | None:
    """Ship the points of a stage that has made all of them; its MLflow run, None when there is none."""
    import ray

    try:
        run_id: str | None = ray.get(context.services.tracker.close.remote(FLUSH_S))
    except ray.exceptions.RayError as error:
        context.progress.say(f"MLflow has not all of this run: its writer died ({type(error).__name__}).")
        return None
    return run_id


def log_model(context: Context, folder: Path, run_id: str | None) -> str | None:
    """Log a folder of `save_model` as the model of an MLflow run; its URI, None when MLflow is away."""
    import ray

    actor = context.services.tracker
    actor.take_up.remote(context.progress, run_id)
    try:
        uri: str | None = ray.get(actor.log_model.remote(folder))
    except ray.exceptions.RayError as error:
        context.progress.say(f"MLflow has not the model of this run: its writer died ({type(error).__name__}).")
        return None
    return uri


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted keys; lists stay whole.

    >>> list(flatten({"train": {"duration": "3ep"}, "seed": 0}))
    [('train.duration', '3ep'), ('seed', 0)]
    """
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
