"""Where a feed's time goes, step by step; measured only when somebody asks."""

import time

STEPS = ("read", "decode", "augment", "collate", "wait")
"""Bytes out of the shards, pixels out of these, the recipe's transforms, into the batch, until somebody takes it."""


class Laps:
    """Seconds from one `lap` to the next, added up by step. Not `on`, it does nothing."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._seconds = dict.fromkeys(STEPS, 0.0)
        self._since_s = time.perf_counter()

    def lap(self, step: str) -> None:
        """Add the time since the last call to `step`."""
        if self.on:
            now_s = time.perf_counter()
            self._seconds[step] += now_s - self._since_s
            self._since_s = now_s

    def take(self) -> dict[str, float]:
        """Return what was measured since the last time; nothing when it is not on."""
        taken, self._seconds = self._seconds, dict.fromkeys(STEPS, 0.0)
        return taken if self.on else {}
