"""What a worker takes from the cluster."""

from pipeline.recipe import Recipe


def resources(recipe: Recipe) -> dict[str, float]:
    """What one worker takes: `{"CPU": ...}`, and "GPU" when it has any. Ray must be initialised."""
    import ray

    cluster = recipe.cluster
    gpus = cluster.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) >= cluster.workers.min else 0.0
    return {"CPU": cluster.cpus_per_worker, **({"GPU": gpus} if gpus else {})}
