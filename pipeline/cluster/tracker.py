"""MLflow as the stages see it: one actor beside the driver that alone loads MLflow, for all stages of a run.

No stage waits for MLflow, and none stops for it. All that it is to get is kept in the store at once and shipped by a
thread, now or in a later run on the store.
"""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.redact import redact, redact_values
from pipeline.cluster import described
from pipeline.cluster.described import PLACES, Typed
from pipeline.graph.plan import Context, StageProgress, leaves
from pipeline.recipe import Recipe, plain
from pipeline.store import Artifact
from pipeline.tracking.address import VIEW, Tracking

if TYPE_CHECKING:
    from pipeline.tracking.mlflow_run import Status
    from pipeline.tracking.writer import Writer

LOG = logging.getLogger("pipeline.tracking.tracker")  # whose warnings reach the user, see Voice
SPOOL = "spool"
RUN_ID_FILE = "mlflow_run_id"
NOTE = "tracker.json"
"""In a run's record: what a tracker needs that goes on for one that died, and the process that it is."""
FLUSH_S = 20.0
FLUSH_AFTER_FAILURE_S = 10.0
MODEL_S = 3600.0
LIMIT_S = 300.0
"""For an answer from the tracker, which may have to be started again."""
SYSTEM_EVERY_S = 10.0
SETTLE_S = 120.0
LOOK_S = 5.0
ANSWER_S = 60.0
"""A tracker that says nothing for so long is ended, and another goes on. Starting it and a flush take less."""
POINTS = "points"
MODEL = "model"


@dataclass(frozen=True)
class Services:
    """What the driver hands to stages beside the recipe: the `Tracker` actor, and the folder of the run's record."""

    tracker: Any
    folder: Path


class Tracker:
    """The MLflow run of one driver's run. Runs as an actor (`num_cpus=0`) on the driver's node.

    `store` is the store's folder on this node, `run_folder` the record of this run in it, where the MLflow run's id is
    left.
    """

    def __init__(
        self, tracking: Tracking, recipe: Recipe, store: Path, run_folder: Path, typed: Typed | None = None
    ) -> None:
        self._tracking, self._recipe, self._spool, self._run_folder = tracking, recipe, store / SPOOL, run_folder
        self._typed = typed or Typed()
        self._writer: Writer | None = None
        self._voice = Voice()
        logging.getLogger("pipeline.tracking").addHandler(self._voice)
        note = _read_note(run_folder)
        self._note(**note)
        if key := note.get("key"):  # another one died
            self._go_on(key, note["run_id"], note["system_every_s"])
        threading.Thread(target=self._send_leftovers, daemon=True).start()

    def _send_leftovers(self) -> None:
        from pipeline.tracking.client import quiet
        from pipeline.tracking.leftovers import send_leftovers

        quiet()  # takes seconds, and has them while the first stages work
        send_leftovers(self._tracking, self._spool)

    def ready(self) -> None:
        """Answer, as a sign of life."""

    def attach(
        self, progress: StageProgress, key: str, run_id: str | None = None, system_every_s: float | None = None
    ) -> None:
        """Keep what comes from now on for the MLflow run of that key, `run_id` if it has one, and it is RUNNING.

        What goes wrong from now on is told to `progress`.
        """
        self._voice.progress = progress
        if not self._writer:
            self._note(key=key, run_id=run_id, system_every_s=system_every_s)
            self._go_on(key, run_id, system_every_s)

    def _go_on(self, key: str, run_id: str | None, system_every_s: float | None) -> None:
        from pipeline.tracking.writer import Writer

        try:
            self._describe(self._spool / key, run_id)
            self._writer = Writer(self._tracking, self._spool / key, system_every_s)
        except OSError as error:
            LOG.warning(f"MLflow gets nothing of this run: {self._spool / key} cannot be written ({error.strerror}).")

    def _note(self, **facts: Any) -> None:
        with suppress(OSError):  # a full disk; then another tracker does not go on
            (self._run_folder / NOTE).write_text(json.dumps(facts | {"pid": os.getpid()}))

    def _describe(self, folder: Path, run_id: str | None) -> None:
        """Note in the outbox how its run is found or created."""
        from pipeline.tracking.outbox import Outbox

        outbox = Outbox(folder)
        known, now_ms = outbox.run(), time.time_ns() // 1_000_000
        values = plain(self._recipe)
        outbox.update(
            address=self._tracking.shown,
            experiment=described.experiment(self._recipe),
            register=self._registered,
            name=described.run_name(self._recipe, self._typed),
            params=dict(leaves({name: redact_values(v) for name, v in values.items() if name not in PLACES})),
            tags={**self._origin, "zoetrope.store": redact(self._recipe.store), "zoetrope.run": self._run_folder.name},
            run_id=known.get("run_id") or run_id,
            began_ms=known.get("began_ms") or now_ms,
            status="RUNNING",
            status_ms=now_ms,
        )
        outbox.close()

    @property
    def _registered(self) -> dict[str, str] | None:
        """Under which name the model is registered, and by what it is compared; None where it is not."""
        from pipeline.tasks import task_of

        name = self._recipe.tracking.register
        return {"name": name, "metric": task_of(self._recipe).headline.metric} if name else None

    @cached_property
    def _git(self) -> Mapping[str, Any] | None:
        from pipeline.graph.execute import git_state

        return git_state()

    @cached_property
    def _origin(self) -> dict[str, str]:
        from pipeline.tracking.system import read_machine

        return described.origin(self._recipe, self._typed, self._git, read_machine())

    def tell(self, data: str, score: str = "") -> None:
        """Keep a description of the run, and its score once there is one, which then stands in its name."""
        if self._writer:
            text = described.note(self._recipe, self._origin, self._git, str(self._run_folder), data, score)
            name = described.run_name(self._recipe, self._typed, score)
            self._writer.tags({"mlflow.note.content": text, "mlflow.runName": name})

    def points(self, step: int, metrics: dict[str, float], maker: str = "") -> None:
        """Keep the metrics of a step; see `Writer.points`."""
        if self._writer:
            self._writer.points(step, metrics, maker)

    def curves(self) -> dict[str, list[list[Any]]]:
        """Return a few points of each curve of the training; none where nothing is kept."""
        return self._writer.curves() if self._writer else {}

    def log_dataset(self, digest: str, source: str, profile: dict[str, int]) -> None:
        """Keep what the run trains on."""
        if self._writer:
            name = described.data_name(self._recipe.data.source)
            facts = {"name": name, "digest": digest, "source": source, "profile": profile}
            self._writer.dataset(facts)

    def log_files(self, files: dict[str, Path]) -> None:
        """Keep files for the run's artifacts: `{artifact path: local file}`."""
        if self._writer:
            self._writer.files(files)

    def log_images(self, files: dict[str, Path]) -> None:
        """Keep pictures for MLflow's image grids: `{name: local file}`."""
        if self._writer:
            self._writer.images(files)

    def log_model(self, folder: Path) -> str | None:
        """Keep a folder of `save_model` as the run's model; its URI, None when MLflow is away."""
        if not self._writer:
            return None
        self._writer.model(self._recipe.name, folder)
        self._writer.flush(MODEL_S)
        return self._writer.model_uri

    def flush(self, timeout_s: float) -> str | None:
        """Ship what is kept; the MLflow run, None when it could not be opened yet."""
        if not self._writer:
            return None
        self._writer.flush(timeout_s)
        if self._writer.run_id:
            (self._run_folder / RUN_ID_FILE).write_text(self._writer.run_id)
        return self._writer.run_id

    def experiment_id(self) -> str | None:
        """Return the experiment of the MLflow run, None when that could not be opened yet."""
        return self._writer.experiment_id if self._writer else None

    def end(self, status: "Status") -> list[str]:
        """Set the status of the run and ship what is left; what there is to say about it, since no stage is left."""
        self._voice.progress = None
        if self._writer:
            self._writer.status(status)
            self._writer.close(FLUSH_S if status == "FINISHED" else FLUSH_AFTER_FAILURE_S)
        return self._voice.kept


class Voice(logging.Handler):
    """Hands warnings to the stage that works now, and keeps them when there is none: an actor has no terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.progress: StageProgress | None = None
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one warning on."""
        if self.progress:
            self.progress.say(record.getMessage())
        else:
            self.kept.append(record.getMessage())


def start_tracker(tracking: Tracking, recipe: Recipe, store: Path, run_folder: Path, typed: Typed | None = None) -> Any:
    """Start the actor, on this node. Ray must be initialised."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote  # its stub knows fewer strategies than it takes
    # Threads of their own for points, which no other call may hold up, and for the model, which waits until it is sent.
    # Where it dies, Ray starts another, which gets the calls that were not answered; what is told twice counts once.
    actor = remote(
        num_cpus=0,
        scheduling_strategy=here,
        concurrency_groups={POINTS: 1, MODEL: 1},
        max_restarts=-1,
        max_task_retries=-1,
    )(Tracker)
    return actor.remote(tracking, recipe, store, run_folder, typed)


@contextmanager
def watched(services: Services) -> Iterator[None]:
    """End, while this lasts, the tracker's process when it shows no sign of life; Ray then starts another.

    For the driver, which is on the tracker's node.
    """
    import ray

    ended = threading.Event()

    def watch() -> None:
        with suppress(ray.exceptions.RayError):  # Ray itself is gone
            while not ended.wait(LOOK_S):
                sign = services.tracker.ready.remote()
                if not ray.wait([sign], timeout=ANSWER_S)[0] and (pid := _read_note(services.folder).get("pid")):
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

    threading.Thread(target=watch, name="watch-tracker", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _read_note(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / NOTE).read_bytes()))
    except (OSError, ValueError):
        return {}


def begin(context: Context, key: str, system_every_s: float | None = None) -> Any:
    """Return the tracker, keeping all for the MLflow run of that key from now on; hand it to `send` on any worker."""
    return _attached(context, key, None, system_every_s)


def resume(context: Context, trained: Artifact) -> Any:
    """Return the tracker, keeping all for the MLflow run of a training."""
    # A training by earlier code has no key; nothing of it is kept here.
    return _attached(context, trained.facts.get("mlflow_key", trained.fingerprint), trained.facts["mlflow_run_id"])


def _attached(context: Context, *run: Any) -> Any:
    import ray

    actor = context.services.tracker
    with suppress(ray.exceptions.RayError):  # `finish` says it
        # Neither calls in other threads nor those that are repeated behind a death may come first.
        ray.get(actor.attach.remote(context.progress, *run), timeout=LIMIT_S)
    return actor


def send(tracker: Any, *point: Any) -> Any:
    """Send the metrics of a step (`Tracker.points`) and return at once, with what `wait_until_sent` waits for."""
    return tracker.points.options(concurrency_group=POINTS).remote(*point)


def curves(tracker: Any) -> dict[str, list[list[Any]]]:
    """Return a few points of each curve of the training; none where the tracker does not answer."""
    import ray

    try:
        found: dict[str, list[list[Any]]] = ray.get(tracker.curves.remote(), timeout=LIMIT_S)
    except ray.exceptions.RayError:
        return {}
    return found


def wait_until_sent(*sent: Any) -> None:
    """Wait until points or files are kept, or for as long as another tracker may take to come.

    Points from before a checkpoint are not made again, and what is on the way is lost with the process that sent it.
    ActorDiedError where no other tracker will come, as when the driver was killed: who goes on by a checkpoint that
    this process then writes would lack them.
    """
    import ray

    for one in ray.wait(list(sent), num_returns=len(sent), timeout=SETTLE_S)[0]:
        try:
            ray.get(one)
        except ray.exceptions.ActorDiedError as error:
            if not error.actor_init_failed:  # a run whose tracker cannot even begin goes on without it
                raise
        except ray.exceptions.RayError:
            continue  # that one is not a matter of time


def finish(context: Context) -> dict[str, str | None]:
    """Ship what a stage has made; ids of its MLflow run and experiment as facts, None when there are none yet.

    And the view that the experiment has.
    """
    import ray

    actor = context.services.tracker
    try:
        run_id, experiment_id = ray.get([actor.flush.remote(FLUSH_S), actor.experiment_id.remote()], timeout=LIMIT_S)
    except ray.exceptions.RayError as error:
        context.progress.say(
            f"MLflow has not all of this run yet: its writer does not answer ({type(error).__name__})."
        )
        run_id = experiment_id = None
    return {"mlflow_run_id": run_id, "mlflow_experiment_id": experiment_id, "mlflow_view": experiment_id and VIEW}


def log_model(tracker: Any, context: Context, folder: Path) -> str | None:
    """Log a folder of `save_model` as the run's model; its URI, None when MLflow gets it later."""
    import ray

    call = tracker.log_model.options(concurrency_group=MODEL).remote(folder)
    try:
        uri: str | None = ray.get(call, timeout=MODEL_S + LIMIT_S)
    except ray.exceptions.RayError as error:
        context.progress.say(
            f"MLflow has not the model of this run: its writer does not answer ({type(error).__name__})."
        )
        return None
    return uri
