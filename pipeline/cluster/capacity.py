"""Whether there is room for the workers of a training: of a recipe, before Ray starts, and while they wait for it."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from pipeline.cluster.joining import joined_address
from pipeline.cluster.resources import cores, takes
from pipeline.recipe import Recipe


def lacking(recipe: Recipe, there: Mapping[str, float]) -> str:
    """Tell what the workers that there must be take and `there` has not: "2 x 1 GPU, and there are 1"; "" if they fit.

    there: resources by Ray's names, such as {"CPU": 8, "GPU": 1}
    """
    workers = recipe.cluster.workers.min
    for kind, each in takes(recipe, there.get("GPU", 0)).items():
        share, has = Fraction(str(each)), there.get(kind, 0)
        # A part of a GPU is of one GPU.
        room = has * (1 // share) if kind == "GPU" and share < 1 else has // share
        if workers > room:
            return f"{workers} x {each:g} {kind}, and there are {has:g}"
    return ""


def room_problem(recipe: Recipe) -> str:
    """Tell why this machine can never train with so many GPUs a worker; "" when it can.

    Ray need not run, and torch is not loaded. A cluster may grow, so one that is joined is not asked.
    """
    if joined_address() or recipe.cluster.gpus_per_worker in ("auto", 0):
        return ""
    # On a machine of its own Ray is told of as many CPUs as are asked for.
    shortage = lacking(recipe, {"CPU": math.inf, "GPU": _gpus_here()})
    return shortage and (
        f"cluster.gpus_per_worker: the training takes {shortage} on this machine. Set it to auto (or to 0, for CPUs), "
        "lower cluster.workers, or set RAY_ADDRESS to join a cluster."
    )


def sharing_warning(recipe: Recipe) -> str | None:
    """Return what to say when workers must share the cores of this machine; it works, and gains nothing."""
    needed, there = math.ceil(recipe.cluster.workers.min * recipe.cluster.cpus_per_worker), cores()
    if joined_address() or recipe.cluster.workers.min == 1 or needed <= there:
        return None
    return (
        f"cluster.workers: {recipe.cluster.workers.min} workers ask for {needed} CPUs and share the {there} of this "
        "machine, which is slower than fewer workers"
    )


def _gpus_here() -> int:
    """Count the GPUs of this machine as Ray will count them; by a public interface it tells only once it runs."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    gpu: Any = get_accelerator_manager_for_resource("GPU")
    there, visible = gpu.get_current_node_num_accelerators(), gpu.get_current_process_visible_accelerator_ids()
    return there if visible is None else min(there, len(visible))
