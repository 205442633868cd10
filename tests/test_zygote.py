"""What Ray starts as a worker is a fork of the server, which has imported torch."""

import os
import sys

import ray

from tests.processes import family
from tests.zygote import workers


@ray.remote
def _worker() -> tuple[int, int, bool]:
    return os.getpid(), int(os.environ["RAY_RAYLET_PID"]), "torch" in sys.modules


def test_a_worker_is_a_fork(ray_of_two: None) -> None:
    pid, raylet, has_torch = ray.get(_worker.remote())
    assert has_torch
    assert pid in workers(raylet)
    assert pid in {process.pid for process in family(os.getpid())}  # as if Ray had begotten it
