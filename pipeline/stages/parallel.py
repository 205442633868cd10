"""Independent parts of a stage as Ray tasks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")

IN_FLIGHT = 256
"""Tasks handed to Ray at a time: enough for any cluster's CPUs to stay busy, few enough to be cancelled at once."""


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items` in runs of `size`, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def run_parallel(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """`function(*a)` for each `a`, one CPU each; results come in the order of `arguments`.

    What a call raises is raised here; the calls that are still open are then cancelled.
    """
    import ray

    task = ray.remote(num_cpus=1)(lambda a: function(*a))
    open_calls: list[Any] = []
    waiting = iter(arguments)
    try:
        for a in waiting:
            open_calls.append(task.remote(a))
            if len(open_calls) >= IN_FLIGHT:
                yield ray.get(open_calls.pop(0))
        while open_calls:
            yield ray.get(open_calls.pop(0))
    finally:
        for call in open_calls:
            ray.cancel(call)
