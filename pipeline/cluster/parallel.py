"""Independent parts of a stage as Ray tasks."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")

IN_FLIGHT = 256
"""Tasks handed to Ray at a time: enough for any cluster's CPUs to stay busy."""


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield `items` in runs of `size`, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def run_parallel(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], here: bool = False, gpus: float = 0
) -> Iterator[Any]:
    """Run `function(*a)` for each `a`, one CPU each, and `gpus`; results come in the order of `arguments`.

    Calls go to all nodes in turn, or are made `here`, on this one; those of a lost node are made again on another.
    What a call raises is raised here; the calls that are still open end with the process of the stage.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place: Any = "SPREAD"  # by default Ray fills the node that asks first, on which the whole run depends
    if here:
        place = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    name = getattr(function, "func", function).__name__  # as Ray's dashboard shows it
    task: Any = ray.remote(num_cpus=1, num_gpus=gpus, scheduling_strategy=place)(lambda a: function(*a)).options(
        name=name
    )
    open_calls: deque[Any] = deque()
    waiting = iter(arguments)
    while True:
        open_calls.extend(task.remote(a) for a in islice(waiting, IN_FLIGHT - len(open_calls)))
        if not open_calls:
            return
        yield ray.get(open_calls.popleft())
