"""The record of one run in the store: the resolved recipe, what was made or reused, when, and how it ended."""

import json
import os
import re
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.redact import redact, redact_values

if TYPE_CHECKING:
    from pipeline.graph import Step


def now_utc() -> str:
    """ISO 8601 with seconds, for example 2026-11-20T10:15:00Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def redacted_argv() -> list[str]:
    """The command line, without secrets."""
    return [redact(argument) for argument in sys.argv]


@dataclass(frozen=True)
class Run:
    """A folder with `recipe.yaml`, `run.json` and the logs of stages that failed."""

    folder: Path
    record: dict[str, Any]

    def update_stage(self, name: str, **facts: Any) -> None:
        """Enter what is known of one stage now (status, fingerprint, duration_s, ...)."""
        self.record["stages"].setdefault(name, {}).update(facts)
        self._write()

    def end(self, status: str) -> None:
        """Close the record: "done", "failed" or "interrupted". A killed driver leaves "running"."""
        self.record.update(status=status, ended=now_utc())
        self._write()

    def log(self, stage: str, text: str) -> Path:
        """Write the log of a stage that failed; returns its path."""
        path = self.folder / f"{stage}.log"
        path.write_text(redact(text))
        return path

    def _write(self) -> None:
        new = self.folder / "run.json.new"
        new.write_text(json.dumps(self.record, indent=1))
        os.replace(new, self.folder / "run.json")


def begin_run(runs: Path, name: str, values: Mapping[str, Any], steps: Iterable["Step"]) -> Run:
    """Make `runs/<name>-<UTC time>` with the resolved recipe and a record whose status is "running". Raises OSError."""
    import yaml

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    base = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).lstrip('.-') or 'run'}-{stamp}"
    folder = _new_folder(runs, base)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(redact_values(dict(values)), sort_keys=False))
    stages = {
        step.stage.name: {"action": step.action, "fingerprint": step.fingerprint, "reasons": list(step.reasons)}
        for step in steps
    }
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
            "stages": stages,
        },
    )
    run._write()
    return run


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
