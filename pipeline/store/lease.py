"""Who works on what, where there is no flock: an object that its holder writes anew every `BEAT_S` seconds.

It saves work and decides nothing: artifacts are written once under names of their own, so two that hold one lease by
mischance (a holder that slept, a store that cannot write only where there is nothing) do the same work twice, and the
first to publish wins.

Nobody compares clocks of two machines: who waits takes a lease over when it has not changed for `DEAD_S` of his own
time. On the holder's own machine the lock in the cache tells at once that he is gone.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.store.artifact import StoreError
from pipeline.store.objects import Objects

BEAT_S = 15.0
DEAD_S = 60.0
POLL_S = 2.0
MAX_BYTES = 4096


@contextmanager
def lease(objects: Objects, key: str, home: Path, on_wait: Callable[[str], Any]) -> Iterator[None]:
    """Hold the lease at `key`. Waits while another machine does, after telling `on_wait` once who.

    The caller holds the lock of this machine, so a lease of this machine (`home` knows its name) is a dead process's.
    """
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    mine = {"id": uuid.uuid4().hex, "machine": _machine(home), "holder": holder}
    _take(objects, key, mine, on_wait)
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(objects, key, mine, ended), name="lease", daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join(timeout=1.0)
        with suppress(StoreError):  # it is dead in a minute anyway
            if (_read(objects, key) or {}).get("id") == mine["id"]:
                objects.remove([key])


def _take(objects: Objects, key: str, mine: dict[str, Any], on_wait: Callable[[str], Any]) -> None:
    seen: dict[str, Any] | None = None
    seen_s = time.monotonic()
    reported = False
    while not objects.write(key, _content(mine, 0), create=True):
        now = _read(objects, key)
        if now is None:  # it went between the two requests
            continue
        if now != seen:
            seen, seen_s = now, time.monotonic()
        if now.get("machine") == mine["machine"] or time.monotonic() - seen_s > DEAD_S:
            objects.write(key, _content(mine, 0))
            return
        if not reported:
            on_wait(str(now.get("holder", "another run")))
            reported = True
        time.sleep(POLL_S)


def _beat(objects: Objects, key: str, mine: dict[str, Any], ended: threading.Event) -> None:
    count = 0
    while not ended.wait(BEAT_S):
        count += 1
        with suppress(StoreError):  # the work goes on; whether the store is back shows when it is needed
            if (_read(objects, key) or mine).get("id") != mine["id"]:
                return  # taken over while this process slept
            objects.write(key, _content(mine, count))


def _content(mine: dict[str, Any], beat: int) -> bytes:
    return json.dumps({**mine, "beat": beat}).encode()


def _read(objects: Objects, key: str) -> dict[str, Any] | None:
    content = objects.read(key, MAX_BYTES)
    try:
        found = json.loads(content) if content is not None else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) or found is None else {}


def _machine(home: Path) -> str:
    """Return a name for this machine and cache; host names repeat among containers."""
    path = home / "machine"
    home.mkdir(parents=True, exist_ok=True)
    new = home / f".machine.{os.getpid()}"
    new.write_text(uuid.uuid4().hex)
    with suppress(FileExistsError):
        os.link(new, path)
    new.unlink()
    return path.read_text()
