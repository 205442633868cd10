"""When to write a checkpoint at once: a node is about to be taken away, or one has joined.

Either way Ray Train soon starts the training anew from its last checkpoint, on the nodes that there are then.
"""

import time

import ray
import ray.train
import torch

from pipeline.training.distributed import Process, add_up

LOOK_EVERY_S = 5.0
"""As often as Ray Train asks the cluster which nodes are to go (`RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S`)."""
AGAIN_S = 20.0
"""Training goes on until the node is gone, and from checkpoint to checkpoint so much work may be lost."""


class Notice:
    """Asked by every rank at the same steps, it gives all of them the same answer.

    Ranks agree by one all-reduce of a number that it is time to look; only then is Ray asked.
    """

    def __init__(self, process: Process, most: int) -> None:
        """Take `most`, the largest world that this training may grow to."""
        self._process = process
        self._look_s = time.monotonic() + LOOK_EVERY_S
        self._counts_nodes = process.rank == 0 and process.world < most
        self._nodes = self._alive()

    def __call__(self) -> bool:
        """Tell whether a checkpoint should be written now."""
        if not self._any(time.monotonic() >= self._look_s):
            return False
        leaving = ray.train.get_preemption_info() is not None
        self._look_s = time.monotonic() + (AGAIN_S if leaving else LOOK_EVERY_S)
        before, self._nodes = self._nodes, self._alive()
        return self._any(self._nodes > before) or leaving

    def _alive(self) -> int:
        return sum(node["Alive"] for node in ray.nodes()) if self._counts_nodes else 0

    def _any(self, flag: bool) -> bool:
        """Tell whether any rank says so."""
        return add_up(torch.tensor(float(flag), device=self._process.device), self._process).item() > 0
