"""A forward of one sample in training, which BatchNorm refuses where it sees one value a channel: found beforehand.

That a forward has one sample is arithmetic; whether the model minds is asked of the model itself, on torch's meta
device, where shapes are followed and nothing is computed.
"""

from pipeline.recipe import Recipe
from pipeline.recipe.sampling import epoch_samples
from pipeline.shards.order import rank_slice

REFUSES = "Expected more than 1 value per channel"
"""In the ValueError that torch's norms raise."""


def lone_problem(recipe: Recipe, samples: int | None) -> str:
    """Tell what is wrong, and what to set, where BatchNorm would see one value a channel; else "".

    samples: of the training split; None where it is not known yet. Loads torch only for a batch that leaves one alone.
    """
    found = lone_sample(recipe, samples)
    if not found or not _minds(recipe):
        return ""
    return f"{found[0]}, and at this size of input the BatchNorm of {recipe.model.kind} needs two; {found[1]}"


def lone_sample(recipe: Recipe, samples: int | None) -> tuple[str, str] | None:
    """Return (what leaves one sample alone in a forward of the training, what to set), for any
    allowed number of workers.
    """
    train, workers = recipe.train, recipe.cluster.workers
    if train.micro_batch == 1:
        return "train.micro_batch: 1 is one sample in a forward", "set it to 2 or more"
    for n in _batches(recipe, samples):
        if n == train.batch_size:
            key, what, way = "train.batch_size", f"a batch of {n}", "raise it, or lower cluster.workers"
        else:
            key, what, way = "train.keep_last", f"the last batch of an epoch, of {n},", "set it to false"
        for world in range(workers.min, workers.max + 1):
            if world > 1 and train.sync_bn:  # which counts the samples of all workers
                continue
            slices = (rank_slice(n, recipe.mix_group, rank, world) for rank in range(world))
            parts = sorted({part.stop - part.start for part in slices})
            if parts[0] <= 1:  # a worker without any runs one of weight 0
                to_one = "" if world == 1 else f" to one of {world} workers"
                return f"{key}: {what} leaves one sample{to_one}", way
            for part in parts:
                micro = train.most_at_once or part
                if part % micro == 1:
                    if recipe.mix_group == 1:  # parts of groups leave one sample of a kept last batch only
                        even = -(-part // -(-part // micro))  # in as many forwards as now
                        way = f"set it to {next(m for m in (even, *range(micro, part + 1)) if part % m != 1)}"
                    return f"train.micro_batch: {what} leaves one sample after parts of {micro}", way
    return None


def _batches(recipe: Recipe, samples: int | None) -> list[int]:
    """Return sizes of the batches of an epoch: all the same, but for a kept last one, as far as it is known."""
    train = recipe.train
    if not train.keep_last or samples is None:
        return [train.batch_size]
    full, rest = divmod(epoch_samples(train.sampling, samples), train.distinct)
    return [train.batch_size] * (full > 0) + [rest * train.repeats] * (rest > 0)


def _minds(recipe: Recipe) -> bool:
    """Tell whether a norm of the recipe's model refuses one training sample."""
    import torch

    from pipeline.feed.views import view_size
    from pipeline.training.model import build_model

    frames = (recipe.clip.frames,) if recipe.task.modality == "video" else ()
    size = view_size(recipe, training=True)
    with torch.device("meta"):
        model = build_model(recipe, num_classes=2)
        try:
            inputs = {name: torch.empty(1, channels, *frames, *size) for name, channels in recipe.inputs.items()}
            model.train()(inputs.pop("pixels"), **inputs)
        except Exception as error:  # of any other kind it is not ours to tell
            return REFUSES in str(error)
    return False
