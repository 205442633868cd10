from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from torch import nn

from pipeline.base.place import noting_steps
from pipeline.cluster.fit import fit
from pipeline.cluster.micro_batch import OutOfMemory, found, halved, out_of_memory, while_memory_lacks
from pipeline.cluster.tracker import send
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.store.folder_store import FolderParts
from pipeline.training.distributed import Process
from tests.pipeline.cluster.test_fit import tracker
from tests.pipeline.stages.alone import a_context, said


def full_cpu() -> Exception:
    """As torch raises it."""
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator: can't allocate memory") as caught:
        torch.empty(1 << 60)
    return caught.value


def full_numpy() -> Exception:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 50)
    return caught.value


def in_step(error: Exception) -> Exception:
    try:
        with noting_steps(3):
            raise error
    except Exception as noted:
        return noted


@pytest.mark.parametrize(
    ("micro_batch", "world", "samples"), [("auto", 1, 8), ("auto", 2, 4), (3, 1, 3), (3, 4, 2), (None, 1, 8)]
)
@pytest.mark.parametrize("error", [full_cpu, full_numpy, lambda: torch.OutOfMemoryError("CUDA out of memory. Tried")])
def test_how_many_were_too_many(
    make_recipe: Any, micro_batch: Any, world: int, samples: int, error: Callable[[], Exception]
) -> None:
    recipe = make_recipe("image", **{"train.micro_batch": micro_batch})
    lacking = out_of_memory(in_step(error()), recipe, Process(0, world))
    assert lacking is not None
    assert lacking.samples == samples
    assert str(lacking).startswith(f"the memory of cpu does not suffice for {samples} samples at once: ")


def test_other_errors_are_left_alone(make_recipe: Any) -> None:
    assert out_of_memory(in_step(RuntimeError("shapes differ")), make_recipe("image"), Process()) is None


def refused_by(make_recipe: Any, error: Exception, **changes: Any) -> str:
    """What the user reads of a training that raises `error`."""
    recipe = make_recipe("image", **changes)

    def run(recipe: Recipe) -> None:
        lacking = out_of_memory(error, recipe, Process())
        assert lacking is not None
        raise lacking

    with pytest.raises(OutOfMemory) as caught:
        while_memory_lacks(run, recipe, 26, FolderParts(Path(), Path()), pytest.fail)
    return str(caught.value)


def test_what_to_do_is_said(make_recipe: Any) -> None:
    advice = "Set train.micro_batch to auto or to fewer"
    assert advice in refused_by(make_recipe, in_step(full_cpu()))
    assert advice in refused_by(make_recipe, in_step(full_cpu()), **{"train.micro_batch": 4})
    # A model that has no room for itself is not tried again and again.
    early = refused_by(make_recipe, full_cpu(), **{"train.micro_batch": "auto"})
    assert "does not suffice for the model: can't allocate memory: you" in early
    assert early.endswith("Take a smaller model, or a GPU with more memory.")


def test_what_was_found_is_begun_with(make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image", **{"train.micro_batch": "auto"})
    context = a_context(recipe, tmp_path)
    tried: list[int | None] = []

    def run(most: int, recipe: Recipe) -> str:
        tried.append(recipe.train.most_at_once)
        if (recipe.train.most_at_once or 8) > most:
            raise out_of_memory(in_step(full_cpu()), recipe, Process()) or AssertionError
        return "done"

    def tried_again(most: int) -> str:
        return while_memory_lacks(partial(run, most), recipe, 26, context.parts, context.progress.say)

    assert tried_again(2) == "done"
    assert tried == [None, 4, 2]
    assert [line.partition(": the memory")[0] for line in said(context)] == [
        f"train: train.micro_batch is {n} from the last checkpoint on, the batch stays 8" for n in (4, 2)
    ]
    with pytest.raises(OutOfMemory, match=r"for 1 sample at once: .* Fewer cannot be"):
        tried_again(0)
    assert tried[3:] == [2, 1]
    assert found(context.parts) == 1


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({"train.batch_size": 8}, [4, 2, 1]),
        ({"train.batch_size": 17}, [9, 5, 3, 2, 1]),
        ({"train.batch_size": 32, "mixing": {"kind": "mixup"}}, [16, 8]),
        ({"train.batch_size": 12, "mixing": {"kind": "mixup"}}, [8]),
    ],
)
def test_halves(make_recipe: Any, changes: dict[str, Any], numbers: list[int]) -> None:
    recipe = make_recipe("image", **{"train.micro_batch": "auto", **changes})
    seen, most = [], recipe.train.batch_size
    while fewer := halved(recipe, 68, most):
        seen.append(most := fewer)
    assert seen == numbers


def test_no_half_leaves_one_sample_to_a_batchnorm_that_minds(make_recipe: Any) -> None:
    """17 in parts of 2 leave one, and so do parts of 1; of 16, too."""
    small = [{"Resize": {"height": 32, "width": 32}}]
    changes = {"model": {"kind": "resnet18", "width": 4}, "augment": {"train": small, "eval": small}}
    recipe = make_recipe("image", **{"train.micro_batch": "auto", "train.batch_size": 17, **changes})
    assert [halved(recipe, 34, most) for most in (17, 9, 5, 3, 2)] == [9, 5, 3, None, None]
    recipe = make_recipe("image", **{"train.micro_batch": "auto", "train.batch_size": 9, **changes})
    assert [halved(recipe, 34, most) for most in (9, 5, 3)] == [5, 3, None]  # 9 in parts of 4 or 2 leave one


def fills_up(most: int, step: int, metrics: dict[str, float], points: Any) -> Any:
    """Stands for `send` on rank 0: from then on, forwards of more than `most` samples take more than there is."""

    def take(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training and len(inputs[0]) > most:
            torch.empty(len(inputs[0]) << 50)

    nn.modules.module.register_module_forward_pre_hook(take)
    return send(points, step, metrics)


@pytest.mark.slow
def test_one_of_two_workers_runs_out_of_memory(
    ray_of_two: None, make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    """No try is counted, and both go on from the last checkpoint."""
    changes = {"train.micro_batch": "auto", "train.checkpoint": "2st", "cluster.workers": 2, "cluster.max_failures": 0}
    context, points = a_context(make_recipe("image", **changes), tmp_path), tracker(tmp_path)
    made, _ = fit(context, images, partial(fills_up, 2, points=points))
    assert Path(made.path).name == "step-000000006-of-2"
    (line,) = [line for line in said(context) if "micro_batch" in line]
    assert line.startswith(
        "train: train.micro_batch is 2 from the last checkpoint on, the batch stays 8: the memory of cpu does not "
        "suffice for 4 samples at once: can't allocate memory: you tried to allocate "
    )
    steps = [step for step, values in ray.get(points.taken.remote()) if "train/loss" in values]
    assert steps == [2, 4, 6]
