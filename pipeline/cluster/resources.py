"""What a worker takes from the cluster."""

import os

from pipeline.recipe import Recipe


def resources(recipe: Recipe) -> dict[str, float]:
    """Return what one worker takes from this Ray, which must be initialised."""
    import ray

    return takes(recipe, ray.cluster_resources().get("GPU", 0))


def takes(recipe: Recipe, there: float) -> dict[str, float]:
    """Return what one worker takes where there are so many GPUs: `{"CPU": ...}`, and "GPU" when it has any."""
    cluster = recipe.cluster
    gpus = cluster.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if there >= cluster.workers.min else 0.0
    return {"CPU": cluster.cpus_per_worker, **({"GPU": gpus} if gpus else {})}


def cores() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpus(recipe: Recipe) -> float:
    """Return what all training workers take, as many as there must be, and the actors of their feeds."""
    feed = recipe.feed
    actors = feed.actors * feed.workers if feed.kind == "remote" else 0
    return recipe.cluster.workers.min * (recipe.cluster.cpus_per_worker + actors)


def why_no_gpus(recipe: Recipe, gpus: float, joined: bool) -> str:
    """Return a line for the user when `auto` leaves training to the CPUs of a Ray with so many GPUs; else nothing.

    A machine without a GPU of its own (not `joined`) needs no explanation. Of the GPU machines that an autoscaler could
    add, Ray tells nothing by a public interface, so `auto` cannot wait for them.
    """
    cluster = recipe.cluster
    if cluster.gpus_per_worker != "auto" or gpus >= cluster.workers.min or not (joined or gpus):
        return ""
    if gpus:
        way_out = f"cluster.workers={gpus:g} gives each one"
    else:
        way_out = "where GPU machines start when they are asked for, cluster.gpus_per_worker=1 asks"
    return f"train: on CPUs, since Ray has {gpus:g} GPUs now for {cluster.workers.min} workers; {way_out}\n"
