"""Independent parts of a stage as Ray tasks."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")

IN_FLIGHT = 256
"""Tasks handed to Ray at a time: enough for any cluster's CPUs to stay busy, few enough to be cancelled at once."""


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items` in runs of `size`, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def run_parallel(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], here: bool = False
) -> Iterator[Any]:
    """`function(*a)` for each `a`, one CPU each, `here` on this node; results come in the order of `arguments`.

    What a call raises is raised here; the calls that are still open are then cancelled.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place: Any = "DEFAULT"
    if here:
        place = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    task: Any = ray.remote(num_cpus=1, scheduling_strategy=place)(lambda a: function(*a))
    open_calls: deque[Any] = deque()
    waiting = iter(arguments)
    try:
        while True:
            open_calls.extend(task.remote(a) for a in islice(waiting, IN_FLIGHT - len(open_calls)))
            if not open_calls:
                return
            result = ray.get(open_calls[0])  # stays listed until it is there, to be cancelled if this is interrupted
            open_calls.popleft()
            yield result
    finally:
        # The last first, else the next ones would start meanwhile. Not by force: with it, the asking process once ended
        # without a word. A call that does not hear it, in C code or just starting, ends with the stage's process.
        for call in reversed(open_calls):
            ray.cancel(call)
