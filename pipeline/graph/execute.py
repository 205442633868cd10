"""Runs a plan on Ray: a task a stage, independent branches at the same time, each result published in the store."""

import subprocess
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import ray
from ray.exceptions import OutOfMemoryError, RayError, TaskCancelledError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact_log
from pipeline.graph.code_digest import ROOT, code_digests
from pipeline.graph.plan import Plan, Step, fingerprint
from pipeline.graph.progress import FLUSH_S, Board, Progress, Reporter
from pipeline.graph.stage_process import SYSTEM_FAILURES, Job, Outcome, make
from pipeline.store import Artifact, Store
from pipeline.store.record import Run, redacted_argv

POLL_S = 0.3
RETRY_S = (
    5.0  # from a failure to the next try; by then the tasks of the dead worker are gone, and do not write any more
)
QUIET_S = 60.0
"""After so long without progress a stage is named, then after twice as long, and so on."""
CANCEL_S = 5.0  # for a stage's code to clean up after Ctrl-C; then its worker is killed


@dataclass(frozen=True)
class StageResult:
    """How a stage ended. `note` says what is worth knowing: code changed since, reused after all."""

    stage: str
    action: Literal["reused", "made"]
    artifact: Artifact
    duration_s: float
    note: str | None


@dataclass
class _Running:
    step: Step
    job: Job
    started_s: float
    attempt: int = 0
    last_report_s: float = 0.0
    silence_limit_s: float = 0.0


def execute(plan: Plan, recipe: Any, store: Store, services: Any, progress: Progress, run: Run) -> list[StageResult]:
    """Make what the plan says, in `store`. Ray must be initialised. `recipe` and `services` are handed on, pickled.

    A failed stage does not stop those that run beside it; they are published, then its error is raised: a
    ZoetropeError as the stage raised it, anything else as a ZoetropeError that names a log with the traceback.
    Ctrl-C (or any other exception that a signal handler raises) cancels what runs and is raised again.
    """
    execution = _Execution(plan, recipe, store, services, progress, run)
    try:
        execution.loop()
    except BaseException as error:
        execution.cancel()
        with suppress(OSError, ZoetropeError):
            run.end("failed" if isinstance(error, Exception) else "interrupted")
        raise
    finally:
        execution.close()
    if execution.errors:
        with suppress(OSError, ZoetropeError):  # a full store must not hide what happened
            run.end("failed")
        raise execution.errors[0]
    with store.in_words():
        run.end("done")
    return [execution.results[step.stage.name] for step in plan.steps]


class _Execution:
    def __init__(self, plan: Plan, recipe: Any, store: Store, services: Any, progress: Progress, run: Run) -> None:
        self.plan, self.store, self.progress, self.run = plan, store, progress, run
        self.recipe, self.services = recipe, services
        self.git = git_state()
        self.node = ray.get_runtime_context().get_node_id()
        self.waiting = list(plan.steps)
        self.running: dict[ray.ObjectRef, _Running] = {}
        self.results: dict[str, StageResult] = {}
        self.errors: list[ZoetropeError] = []
        # On this node, like all that a run cannot do without: other nodes may be lost.
        self.here: Any = NodeAffinitySchedulingStrategy(self.node, soft=False)
        self.board: Any = ray.remote(Board).options(num_cpus=0, scheduling_strategy=self.here).remote()
        self.taken: ray.ObjectRef | None = None

    def loop(self) -> None:
        self.check_resources()
        while True:
            if not self.errors:
                self.begin_ready()
            if not self.running:
                return
            ready, _ = ray.wait(list(self.running), timeout=POLL_S)
            self.show()
            self.name_quiet()
            for ref in ready:
                self.end(ref)

    def begin_ready(self) -> None:
        """Settle or start every stage whose inputs are there; again, since a reused one may be the next one's input."""
        settled = True
        while settled:
            settled = False
            for step in list(self.waiting):
                if all(name in self.results for name in step.stage.inputs):
                    self.waiting.remove(step)
                    settled |= self.begin(step)

    def begin(self, step: Step) -> bool:
        """Start a stage, or find that it need not run: then True."""
        stage = step.stage
        inputs = {name: self.results[name].artifact for name in stage.inputs}
        digests = {name: artifact.digest for name, artifact in inputs.items()}
        mark = fingerprint(stage, step.values, digests, step.outside)
        again = stage.name in self.plan.rerun
        if step.artifact is not None:
            self.reused(step, step.artifact, step.note)
            return True
        found = None if again else self.store.find(stage.name, mark)
        if found is not None:
            came_out_same = step.fingerprint is None
            note = (
                "reused after all: its inputs came out the same" if came_out_same else "made by another run meanwhile"
            )
            self.reused(step, found, note)
            self.progress.say(f"{stage.name}: {note}")
            return True
        manifest = {
            "version": stage.version,
            "values": step.values,
            "inputs": {n: {"fingerprint": a.fingerprint, "digest": a.digest} for n, a in inputs.items()},
            "outside": step.outside,
            "code": code_digests(stage.module),
            "git": self.git,
            "argv": redacted_argv(),
            "run": self.run.folder.name,
        }
        reporter = Reporter(stage.name, self.board)
        job = Job(
            stage.name,
            stage.run,
            mark,
            manifest,
            inputs,
            self.recipe,
            self.services,
            self.store,
            reporter,
            again,
            again,
        )
        self.submit(_Running(step, job, time.monotonic()))
        self.record(stage.name, status="running", fingerprint=mark)
        return False

    def check_resources(self) -> None:
        node = next(node for node in ray.nodes() if node["NodeID"] == self.node)
        cpus = node["Resources"].get("CPU", 0)
        for stage in (step.stage for step in self.plan.to_run):
            if stage.num_cpus > cpus:  # Ray would wait for ever
                raise ZoetropeError(
                    f"stage {stage.name} needs {stage.num_cpus:g} CPUs and Ray has {cpus:g} on this machine; "
                    "start Ray with more, or run on a larger machine."
                )

    def submit(self, running: _Running) -> None:
        # max_calls=1: the process ends with the stage, and with it all that the stage loaded, started or left behind.
        # max_retries=0: tries are counted here, so that the user hears of them and out of memory counts too.
        remote: Any = ray.remote(
            num_cpus=running.step.stage.num_cpus, max_calls=1, max_retries=0, scheduling_strategy=self.here
        )
        task = remote(make).options(name=running.job.stage)
        self.progress.start(running.job.stage)
        running.last_report_s, running.silence_limit_s = time.monotonic(), QUIET_S
        self.running[task.remote(running.job)] = running

    def end(self, ref: ray.ObjectRef) -> None:
        running = self.running.pop(ref)
        stage = running.step.stage
        outcome = _outcome(ref)
        self.show_all()
        duration_s = time.monotonic() - running.started_s
        if outcome.artifact is not None:
            if outcome.made:
                self.results[stage.name] = StageResult(stage.name, "made", outcome.artifact, duration_s, None)
                self.progress.finish(stage.name, f"made in {duration_s:.1f} s")
                self.record(stage.name, status="made", duration_s=round(duration_s, 3))
            else:
                self.reused(running.step, outcome.artifact, "made by another run meanwhile")
                self.progress.finish(stage.name, "made by another run meanwhile")
        elif outcome.system and running.attempt < stage.retries:
            running.attempt += 1
            # What the first attempt finished is kept, even when all was to be made again.
            running.job = replace(running.job, fresh=False)
            self.progress.say(f"{stage.name}: {outcome.what}; try {running.attempt + 1} of {stage.retries + 1}")
            _free_room()
            time.sleep(RETRY_S)
            self.submit(running)
        else:
            self.fail(stage.name, outcome)

    def fail(self, name: str, outcome: Outcome) -> None:
        error = outcome.error
        if error is None:
            log = ""
            with suppress(OSError, ZoetropeError):  # a full store must not hide what happened
                log = f" (traceback: {self.run.log(name, outcome.trace)})"
            error = ZoetropeError(f"stage {name} failed: {outcome.what}{log}")
            error.resumable = outcome.system
        self.progress.finish(
            name, f"failed: {error}" if self.errors else "failed"
        )  # the first is raised, and shown then
        self.errors.append(error)
        with suppress(OSError, ZoetropeError):
            self.run.update_stage(name, status="failed", error=redact_log(str(error)))

    def reused(self, step: Step, artifact: Artifact, note: str | None) -> None:
        name = step.stage.name
        self.results[name] = StageResult(name, "reused", artifact, 0.0, note)
        self.record(name, status="reused", fingerprint=artifact.fingerprint, note=note)

    def record(self, name: str, **facts: Any) -> None:
        with self.store.in_words():
            self.run.update_stage(name, **facts)

    def show(self, wait_s: float = 0) -> bool:
        """Show what stages reported; False when the board does not answer within `wait_s`."""
        self.taken = self.taken or self.board.take.remote()
        try:
            if not ray.wait([self.taken], timeout=wait_s)[0]:
                return False
            latest, messages = ray.get(self.taken)
        except RayError:  # the board is lost: bars stand still, stages go on
            return False
        self.taken = None
        for text in messages:
            self.progress.say(text)
        for running in self.running.values():
            if running.job.stage in latest:
                running.last_report_s, running.silence_limit_s = time.monotonic(), QUIET_S
        for name, (done, total, note) in latest.items():
            self.progress.update(name, done, total, note)
        return True

    def name_quiet(self) -> None:
        for running in self.running.values():
            if (silent_s := time.monotonic() - running.last_report_s) > running.silence_limit_s:
                running.silence_limit_s *= 2
                self.progress.say(
                    f"{running.job.stage}: no progress for {silent_s:.0f} s. What hangs is ended in time; Ctrl-C stops "
                    "the run, and the same command goes on."
                )

    def show_all(self) -> None:
        """Show all that stages have said. Twice: the first answer may have been asked for before their last words."""
        if self.show(wait_s=FLUSH_S):
            self.show(wait_s=FLUSH_S)

    def cancel(self) -> None:
        """Interrupt what runs, let it clean up for a while (a second Ctrl-C ends the wait), then kill it."""
        refs = list(self.running)
        try:
            for ref in refs:
                ray.cancel(ref, force=False, recursive=True)
            refs = ray.wait(refs, num_returns=len(refs), timeout=CANCEL_S)[1] if refs else []
            self.show_all()
        except KeyboardInterrupt:
            pass
        finally:
            for ref in refs:
                with suppress(RayError):
                    ray.cancel(ref, force=True, recursive=True)
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=CANCEL_S)
        for running in self.running.values():
            self.progress.finish(running.job.stage, "interrupted; the same command goes on from here")
            with suppress(OSError, ZoetropeError):
                self.run.update_stage(running.job.stage, status="interrupted")

    def close(self) -> None:
        with suppress(RayError):
            ray.kill(self.board)


def _free_room() -> None:
    """Give back the placement groups of a stage that died: Ray keeps them for as long as the driver lives.

    Those of this job alone, whose number ends their names; of its stages only the training has any.
    """
    job = ray.get_runtime_context().get_job_id()
    for name, group in ray.util.placement_group_table().items():
        if name.endswith(job) and group["state"] != "REMOVED":
            ray.util.remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(name))))


def _outcome(ref: ray.ObjectRef) -> Outcome:
    try:
        outcome: Outcome = ray.get(ref)
        return outcome
    except TaskCancelledError:
        return Outcome(what="it was cancelled from outside", trace=traceback.format_exc())
    except RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        if isinstance(error, OutOfMemoryError):
            what = "its worker was killed because memory ran out: " + lines[0]
        elif isinstance(error, SYSTEM_FAILURES):
            what = "its worker process died (killed, out of memory, or a crash in native code)"
        else:
            what = lines[0]
        return Outcome(what=what, system=isinstance(error, SYSTEM_FAILURES), trace=traceback.format_exc())


def git_state() -> Mapping[str, Any] | None:
    """Return the commit of the code and whether it was changed since; None outside a git checkout."""

    def ask(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
