"""What is in a store, what nothing needs any more, and its removal."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.store.artifact import Holding, Record, Store

DAY_S = 86400.0
RUNNING_DAYS = 90.0
"""A record that says "running" counts for so long: its driver may be killed, or train a large model."""


@dataclass(frozen=True)
class Garbage:
    """What `gc` would remove, and what it keeps and why: (holding, reason)."""

    remove: tuple[Holding, ...]
    keep: tuple[tuple[Holding, str], ...]

    @property
    def bytes(self) -> int:
        """How much would be free."""
        return sum(holding.bytes for holding in self.remove)


def find_garbage(store: Store, days: float, now_s: float | None = None) -> Garbage:
    """Return what no run of the last `days` and no pin needs. Nothing is removed.

    An artifact is needed by a run's record, by a pin (run name or fingerprint), or as an input, near or far, of one
    that is. Anything written within `days` is kept too: its run may be at it now. A pin that stands for nothing is kept
    in mind only: it harms nothing.
    """
    now_s = time.time() if now_s is None else now_s
    holdings = store.holdings()
    # Read last: a run that began meanwhile is in here with all that it reuses.
    needed = _needed(store.records(), store.pins(), days, now_s)
    _add_inputs(needed, holdings)
    remove, keep = [], []
    for holding in holdings:
        if holding.kind == "artifact" and holding.fingerprint in needed:
            keep.append((holding, needed[holding.fingerprint]))
        elif now_s - holding.modified_s < days * DAY_S:
            keep.append((holding, f"written within {days:g} days"))
        else:
            remove.append(holding)
    return Garbage(tuple(remove), tuple(keep))


def collect(store: Store, garbage: Garbage) -> None:
    """Remove it, what was made last first, so that no artifact outlives its inputs if this is interrupted."""
    for holding in sorted(garbage.remove, key=lambda holding: -holding.modified_s):
        store.remove(holding)


def _needed(records: Iterable[Record], pins: frozenset[str], days: float, now_s: float) -> dict[str, str]:
    """Map each fingerprint -> why it is needed."""
    needed = dict.fromkeys(pins, "pinned")
    for record in records:
        age_days = (now_s - record.modified_s) / DAY_S
        running = record.content.get("status") == "running"
        if record.name in pins or record.content.get("name") in pins:
            why = f"run {record.name}, which is pinned"
        elif age_days < max(days, RUNNING_DAYS if running else 0):
            why = f"run {record.name}"
        else:
            continue
        for stage in record.content.get("stages", {}).values():
            if stage.get("fingerprint"):
                needed.setdefault(stage["fingerprint"], why)
    return needed


def _add_inputs(needed: dict[str, str], holdings: Iterable[Holding]) -> None:
    manifests = {holding.fingerprint: holding.manifest for holding in holdings if holding.manifest}
    waiting = [fingerprint for fingerprint in needed if fingerprint in manifests]
    while waiting:
        fingerprint = waiting.pop()
        for name, made in (manifests[fingerprint] or {}).get("inputs", {}).items():
            mark = made["fingerprint"]
            if mark not in needed:
                needed[mark] = f"input {name} of one that is kept ({needed[fingerprint]})"
                if mark in manifests:
                    waiting.append(mark)
