"""What MLflow did not get from earlier runs on a store, because it was away or because they were killed."""

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

from pipeline.store.record import RECORD, RUNS
from pipeline.tracking.address import Tracking
from pipeline.tracking.client import reason
from pipeline.tracking.outbox import Outbox
from pipeline.tracking.writer import Writer

LOG = logging.getLogger(__name__)
SEND_S = 600.0
"""For what one earlier run left; a server that fails ends it at once."""
STATUS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
"""What MLflow calls the ways in which a record ends."""
FORGET_S = 90 * 86400.0
"""A training that was not taken up again for so long will not be. Until then its outbox knows which steps it made."""


def send_leftovers(tracking: Tracking, spool: Path) -> None:
    """Send what the outboxes in `spool` hold for this MLflow, and remove those that are done with. Says what it did."""
    elsewhere: dict[str, list[Path]] = {}
    for folder in sorted(path for path in spool.glob("*") if path.is_dir()):
        try:
            run = _tidy(folder)
        except OSError as error:
            LOG.warning(f"What {folder} holds for MLflow was not looked at ({reason(error)}).")
            continue
        if not run:
            continue
        # Not to whatever address a file names: the credentials in the environment are for this one.
        if run["address"] != tracking.shown:
            elsewhere.setdefault(str(run["address"]), []).append(folder)
        elif any(Writer(tracking, folder).close(SEND_S)):
            break
        else:
            LOG.warning(f"MLflow at {tracking.shown} has now what it missed of run {run.get('name')}.")
    for address, folders in elsewhere.items():
        LOG.warning(
            f"MLflow at {address} has not all of {len(folders)} earlier runs ({folders[0]}, ...). A run on this store "
            "with that address as tracking.uri sends the rest; remove the folders to forget it."
        )


def _ended(folder: Path, run: dict[str, Any]) -> str | None:
    """Return the status of a run whose tracker is gone, by its record in the store; None while its driver goes on."""
    name = Path(str(run.get("tags", {}).get("zoetrope.run", ""))).name
    try:
        record = json.loads((folder.parents[1] / RUNS / name / RECORD).read_bytes())
        return STATUS.get(record["status"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _tidy(folder: Path) -> dict[str, Any]:
    """Return what is known of a run of which something is left to send; empty for others. Removes what is done with."""
    if folder.name.startswith("."):
        shutil.rmtree(folder, ignore_errors=True)  # its removal was interrupted
        return {}
    outbox = Outbox(folder)
    if not outbox.is_alone():  # a run that goes on sends its own
        outbox.close()
        return {}
    if outbox.run().get("status") == "RUNNING" and (ended := _ended(folder, outbox.run())):
        outbox.update(status=ended, status_ms=int(1000 * outbox.changed_s()))
    run, left = outbox.run(), any(outbox.left())
    if not left and (run.get("status") == "FINISHED" or time.time() - outbox.changed_s() > FORGET_S):
        outbox.remove()
    else:
        outbox.close()
    return run if left and "address" in run else {}
