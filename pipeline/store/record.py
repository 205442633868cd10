"""The record of one run in the store: the resolved recipe, what was made or reused, when, and how it ended."""

import json
import os
import re
import socket
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from pipeline.base.lock import is_locked, lock
from pipeline.base.redact import redact, redact_log, redact_values
from pipeline.base.visible import visible_lines

RUNS = "runs"
"""The folder of a store that holds the records."""
RECORD = "run.json"
ALIVE = "alive"
"""A file beside the record that the driver holds locked for as long as it lives."""
UNSENT = "unsent"
"""A file beside a record that was written here and has perhaps not come to the store."""


def now_utc() -> str:
    """Return the time as ISO 8601 with seconds, for example 2026-11-20T10:15:00Z."""
    return _utc(datetime.now(UTC))


def _utc(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def redacted_argv() -> list[str]:
    """Return the command line, without secrets."""
    return [redact(argument) for argument in sys.argv]


@dataclass(frozen=True)
class Run:
    """A folder with `recipe.yaml`, `run.json` and the logs of stages that failed."""

    folder: Path
    record: dict[str, Any]
    upload: Callable[[Path], None] | None = None
    """Called with every file that was written, where the store is not a folder."""
    alive: BinaryIO | None = None
    """The lock on `ALIVE`, of a run that goes on."""

    def update_stage(self, name: str, **facts: Any) -> None:
        """Enter what is known of one stage now (status, fingerprint, duration_s, ...)."""
        self.record["stages"].setdefault(name, {}).update(facts)
        self._write_record()

    def end(self, status: str, ended: str | None = None) -> None:
        """Close the record: "done", "failed" or "interrupted". A killed driver leaves "running": `close_abandoned`."""
        self.record.update(status=status, ended=ended or now_utc())
        self._write_record()
        if self.alive:
            self.alive.close()

    def log(self, stage: str, text: str) -> Path:
        """Write the log of a stage that failed; returns its path."""
        path = self.folder / f"{stage}.log"
        self._write(path, visible_lines(redact_log(text)))
        return path

    def keep(self, name: str, text: str) -> Path:
        """Keep a text beside the record; returns its path on this node."""
        self._write(self.folder / name, text)
        return self.folder / name

    def _write_record(self) -> None:
        if self.upload:
            (self.folder / UNSENT).touch()
        self._write(self.folder / RECORD, json.dumps(self.record, indent=1))
        (self.folder / UNSENT).unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        new = path.with_name(path.name + ".new")
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
        if self.upload:
            self.upload(path)


def begin_run(
    runs: Path,
    name: str,
    values: Mapping[str, Any],
    stages: Mapping[str, Mapping[str, Any]],
    upload: Callable[[Path], None] | None = None,
) -> Run:
    """Make `runs/<name>-<UTC time>` with the resolved recipe and a record whose status is "running". Raises OSError.

    stages: what the record tells of each stage before it starts (`pipeline.graph.plan.planned_stages`)
    """
    import yaml

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    base = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).lstrip('.-') or 'run'}-{stamp}"
    if upload:  # two drivers on two machines do not see each other's folders
        base += f"-{uuid.uuid4().hex[:6]}"
    folder = _new_folder(runs, base)
    run = Run(
        folder,
        {
            "schema": 1,
            "name": name,
            "status": "running",
            "started": now_utc(),
            "ended": None,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "argv": redacted_argv(),
            "stages": {stage: dict(facts) for stage, facts in stages.items()},
        },
        upload,
        os.fdopen(lock(folder / ALIVE, lambda _: None), "r+b"),
    )
    run._write(folder / "recipe.yaml", yaml.safe_dump(redact_values(dict(values)), sort_keys=False))
    run._write_record()
    return run


def close_abandoned(runs: Path, upload: Callable[[Path], None] | None = None) -> None:
    """End the records below `runs` that say "running" and whose driver is gone: they were interrupted.

    They ended when they were last written. What cannot be read or written is passed over. What a driver could not
    upload, since the store was away or the driver was killed, is uploaded.
    """
    for path in sorted(runs.glob(f"*/{RECORD}")):
        with suppress(OSError, ValueError):
            record = json.loads(path.read_bytes())
            if record["status"] == "running" and not _is_at_work(path.parent, record):
                for stage in record["stages"].values():
                    if stage.get("status") == "running":
                        stage["status"] = "interrupted"
                last = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                Run(path.parent, record, upload).end("interrupted", _utc(last))
            elif record["status"] != "running" and (path.parent / UNSENT).exists():
                Run(path.parent, record, upload).end(record["status"], record["ended"])


def _is_at_work(folder: Path, record: Mapping[str, Any]) -> bool:
    if (folder / ALIVE).exists():
        return is_locked(folder / ALIVE)
    # Begun by earlier code, which held no lock. Of another machine's processes nothing can be told.
    return record["host"] != socket.gethostname() or psutil.pid_exists(record["pid"])


def _new_folder(runs: Path, base: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = runs / (base if number == 1 else f"{base}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir():
                raise
            continue
        return folder
    raise FileExistsError(f"a thousand runs began in the same second: {runs / base}")
