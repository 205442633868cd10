"""The worker's side of a stage: take the lock, look once more, run the stage's function, publish, report failures."""

import importlib
import json
import os
import pickle
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from pipeline.base import threads
from pipeline.base.errors import ZoetropeError
from pipeline.graph.plan import Context
from pipeline.graph.progress import Reporter
from pipeline.store import FULL, Artifact, Store, Work

END_S = 2.0  # from a stage's result to its worker's end; the result must have left by then
SYSTEM_FAILURES = (
    WorkerCrashedError,
    OutOfMemoryError,
    NodeDiedError,
    RayActorError,
    LocalRayletDiedError,
    ObjectLostError,
)


@dataclass(frozen=True)
class Job:
    """All that a worker needs to make one stage."""

    stage: str
    run: str
    fingerprint: str
    manifest: dict[str, Any]
    inputs: dict[str, Artifact]
    recipe: Any
    services: Any
    store: Store
    reporter: Reporter
    replace: bool  # --rerun: whatever is published under this fingerprint
    fresh: bool  # and without what an earlier attempt left


@dataclass(frozen=True)
class Outcome:
    """What a worker sends back. `error`: to be raised as it is; `system`: worth another try; `trace`: for the log."""

    artifact: Artifact | None = None
    made: bool = False
    error: ZoetropeError | None = None
    what: str = ""
    system: bool = False
    trace: str = ""


def make(job: Job) -> Outcome:
    """Make the artifact, in the worker: lock, look once more, make, publish."""
    threads.as_given()
    try:
        with job.store.work(job.stage, job.fingerprint, job.reporter.say, job.fresh) as work:
            found = None if job.replace else job.store.find(job.stage, job.fingerprint)
            return Outcome(artifact=found) if found is not None else Outcome(artifact=_run(job, work), made=True)
    except Exception as error:
        return _failure(error, job)
    finally:
        job.reporter.flush()
        # Ray lets a worker live until the tasks that it started have ended, which after a failure or Ctrl-C may be
        # hours, with no one waiting for them. Once it is gone, Ray kills them at once.
        end = threading.Timer(END_S, os._exit, (1,))
        end.daemon = True
        end.start()


def _run(job: Job, work: Work) -> Artifact:
    note_unfinished(job, work)
    module, _, name = job.run.partition(":")
    sha256s: dict[str, str] = {}
    context = Context(
        recipe=job.recipe,
        inputs=job.inputs,
        out=work.out,
        scratch=work.scratch,
        fingerprint=job.fingerprint,
        services=job.services,
        progress=job.reporter,
        store=job.store.home,
        sha256s=sha256s,
        kept=job.store.parts(work),
    )
    started_s = time.monotonic()
    facts = getattr(importlib.import_module(module), name)(context)
    duration_s = round(time.monotonic() - started_s, 3)
    manifest = {**job.manifest, "duration_s": duration_s, "facts": facts}
    json.dumps(facts)  # refuse here, where the traceback names the stage
    return job.store.publish(work, manifest, sha256s, job.replace)


def note_unfinished(job: Job, work: Work) -> None:
    """Tell the user when the unfinished work found here was begun by other code than today's."""
    path, new = work.folder / "code.json", work.folder / "code.json.new"
    with job.store.in_words():
        if not path.exists():
            new.write_text(json.dumps(job.manifest["code"]))
            os.replace(new, path)  # a torn one, of a full disk, would be other code
        elif path.read_text() != json.dumps(job.manifest["code"]):
            job.reporter.say(
                f"{job.stage}: goes on with what was left by an attempt with other code "
                f"(--rerun {job.stage} starts over)"
            )


def _failure(error: Exception, job: Job) -> Outcome:
    trace, root = traceback.format_exc(), str(job.store.home)
    cause: BaseException = error
    while isinstance(cause, RayTaskError) and isinstance(cause.cause, BaseException) and cause.cause is not cause:
        cause = cause.cause  # of a task that the stage started
    # A failed write() names no file; a full /tmp does, and is not the store.
    if isinstance(cause, OSError) and cause.errno in FULL and str(cause.filename or root).startswith(root):
        cause = job.store.refusal(cause) or cause
    if isinstance(cause, ZoetropeError):
        return Outcome(error=_portable(cause), trace=trace)
    first = (str(cause).strip() or "no message").splitlines()[0]
    return Outcome(what=f"{type(cause).__name__}: {first}", system=isinstance(cause, SYSTEM_FAILURES), trace=trace)


def _portable(error: ZoetropeError) -> ZoetropeError:
    """Return the error itself if it survives pickling, else its text: an exception with its own
    __init__ often does not.
    """
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301  made on the line itself
        return error if str(copy) == str(error) else ZoetropeError(str(error))
    except Exception:
        return ZoetropeError(str(error))
