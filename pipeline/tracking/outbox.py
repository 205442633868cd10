"""All that one MLflow run is to get, in a folder of the store, from the moment it is made until MLflow has it.

    run.json       where MLflow is, how the run is found or created there, the status it is to have and the one it has
    points.jsonl   metric points, see spool.py
    calls/<id>/    one thing to send, its kind and facts in call.json, its files in files/; removed when it is sent
    used           locked, shared, by all who work here; whoever removes the folder has it alone

Several processes may work in one folder: the training that fills it, and a later run that sends what was left.
"""

import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.base.lock import lock
from pipeline.tracking.spool import POINTS, Spool

RUN = "run.json"
CALLS = "calls"
CALL = "call.json"
FILES = "files"
USED = "used"
MAX_BYTES = 16 << 20  # of a JSON file that is read


class Outbox:
    """The folder of the MLflow run that is named `folder.name`; it is created when it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = _hold(folder)
        self.points = Spool(folder)

    def run(self) -> dict[str, Any]:
        """Return what is known of the run; empty when nothing was noted yet."""
        return read_run(self.folder)

    def update(self, **facts: Any) -> None:
        """Note facts of the run; the others stay."""
        held = lock(self.folder / f"{RUN}.lock", lambda _: None)
        try:
            temporary = self.folder / f".{RUN}.{uuid.uuid4().hex}"
            temporary.write_text(json.dumps(self.run() | facts))
            os.replace(temporary, self.folder / RUN)
        finally:
            os.close(held)

    def status_to_send(self) -> str | None:
        """Return the status that the run is to have, None when it has it."""
        run = self.run()
        return run.get("status") if run.get("status") != run.get("status_sent") else None

    def left(self) -> tuple[int, int]:
        """Return how many metric points and how many other things MLflow does not have yet."""
        return self.points.unsent(self.run().get("run_id")), len(self.calls()) + bool(self.status_to_send())

    def changed_s(self) -> float:
        """Return when a point was last kept here, in seconds since 1970."""
        return (self.folder / POINTS).stat().st_mtime

    def keep(self, kind: str, facts: Mapping[str, Any], files: Mapping[str, Path]) -> None:
        """Keep a thing to send with its files, `{path to be: local file}`. Raises OSError when the disk refuses.

        Files are linked where that is possible: a model is not written twice.
        """
        call = self.folder / CALLS / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        making = call.with_name(f".{call.name}")
        making.mkdir(parents=True)
        for name, source in files.items():
            target = making / FILES / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source.resolve(), target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(source, target)
        (making / CALL).write_text(json.dumps({"kind": kind, "facts": facts}))
        os.rename(making, call)

    def calls(self) -> list[Path]:
        """Return the things to send, in the order in which they were kept."""
        with suppress(FileNotFoundError):
            return sorted(path for path in (self.folder / CALLS).iterdir() if not path.name.startswith("."))
        return []

    @contextmanager
    def take(self, call: Path) -> Iterator[dict[str, Any] | None]:
        """Yield its kind and facts, and nobody else's while this lasts; None when another sends it or has sent it."""
        with ExitStack() as stack:
            content = None
            try:
                file = stack.enter_context((call / CALL).open("rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (call / CALL).exists():
                    content = _parse(file.read(MAX_BYTES))
            except FileNotFoundError:
                shutil.rmtree(call, ignore_errors=True)  # its removal was interrupted
            except BlockingIOError:
                pass
            yield content

    def drop(self, call: Path) -> None:
        """Forget a thing that was sent."""
        (call / CALL).unlink(missing_ok=True)
        shutil.rmtree(call, ignore_errors=True)

    def is_alone(self) -> bool:
        """Tell whether nobody else is at it."""
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._held, fcntl.LOCK_SH)
        return True

    def close(self) -> None:
        """Let go of the folder."""
        self._held.close()

    def remove(self) -> None:
        """Let go of the folder and remove it, unless somebody else is at it."""
        with suppress(BlockingIOError):
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex[:8]}")
            with suppress(OSError):  # who comes now finds a new folder, and never half of this one
                os.rename(self.folder, gone)
                shutil.rmtree(gone)
        self.close()


def read_run(folder: Path) -> dict[str, Any]:
    """Return what `folder` says of its run; empty when it says nothing, or what is not ours."""
    try:
        with (folder / RUN).open("rb") as file:
            return _parse(file.read(MAX_BYTES))
    except OSError:
        return {}


def _parse(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _hold(folder: Path) -> BinaryIO:
    """Return an open file that keeps the folder from being removed until it is closed."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # removed in between
            held = (folder / USED).open("a+b")
            fcntl.flock(held, fcntl.LOCK_SH)
            with suppress(FileNotFoundError):
                if os.stat(folder / USED).st_ino == os.fstat(held.fileno()).st_ino:
                    return held
            held.close()
