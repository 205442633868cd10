from typing import Any

import pytest
import torch

from pipeline.training.lone import lone_problem, lone_sample
from pipeline.training.model import build_model
from pipeline.training.step import micro_batches


@pytest.mark.parametrize(
    ("train", "workers", "samples", "expected"),
    [
        ({"batch_size": 8}, 1, 26, None),
        ({"batch_size": 8}, 4, 26, None),
        ({"batch_size": 17, "micro_batch": 16}, 1, None, ("a batch of 17 leaves one sample after parts of 16", "to 9")),
        ({"batch_size": 9, "micro_batch": 4}, 1, None, ("train.micro_batch: a batch of 9 leaves one sample", "to 3")),
        ({"batch_size": 3, "micro_batch": 2}, 1, None, ("a batch of 3 leaves one sample after parts of 2", "to 3")),
        ({"batch_size": 18, "micro_batch": 16}, 1, None, None),
        ({"batch_size": 34, "micro_batch": 16}, 2, None, ("a batch of 34 leaves one sample after parts of 16", "to 9")),
        ({"batch_size": 8, "micro_batch": 1}, 1, None, ("train.micro_batch: 1 is one sample", "to 2 or more")),
        ({"batch_size": 3}, 2, None, ("train.batch_size: a batch of 3 leaves one sample to one of 2 workers", "raise")),
        (
            {"batch_size": 3},
            {"min": 1, "max": 2},
            None,
            ("leaves one sample to one of 2 workers", "lower cluster.worke"),
        ),
        ({"batch_size": 5}, 1, 26, None),
        ({"batch_size": 5, "keep_last": True}, 1, None, None),  # not known yet
        (
            {"batch_size": 5, "keep_last": True},
            1,
            26,
            ("train.keep_last: the last batch of an epoch, of 1, leaves one sample", "set it to false"),
        ),
        ({"batch_size": 6, "keep_last": True}, 1, 26, None),
        ({"batch_size": 10, "repeats": 2, "keep_last": True}, 1, 26, None),  # 2 copies of 1
        ({"batch_size": 8, "keep_last": True}, 4, 26, ("of 2, leaves one sample to one of 4 workers", "false")),
    ],
)
def test_forwards_of_one_sample(
    make_recipe: Any, train: dict[str, Any], workers: Any, samples: int | None, expected: tuple[str, str] | None
) -> None:
    changes = {f"train.{key}": value for key, value in train.items()}
    found = lone_sample(make_recipe("image", **{"cluster.workers": workers, **changes}), samples)
    if expected is None or found is None:
        assert found == expected
    else:
        assert expected[0] in found[0]
        assert expected[1] in found[1]


@pytest.mark.parametrize(
    ("modality", "model", "size_px", "minds"),
    [
        ("image", {"kind": "resnet18", "width": 8}, 32, True),  # 1 x 1 at the last stage
        ("image", {"kind": "resnet18", "width": 8}, 33, False),  # 2 x 2
        ("image", {"kind": "resnet18", "width": 8, "stem": "small"}, 28, False),
        ("image", {"kind": "hornet_tiny_7x7"}, 32, False),  # LayerNorm
        ("video", {"kind": "tsn_resnet18", "width": 8}, 32, False),  # a value each of several frames
    ],
)
def test_the_model_is_asked(make_recipe: Any, modality: str, model: dict[str, Any], size_px: int, minds: bool) -> None:
    """As torch answers when it is run."""
    crop = [{"Resize": {"height": size_px, "width": size_px}}]
    augment = {"train": crop, "eval": crop}
    recipe = make_recipe(modality, model=model, augment=augment, **{"train.batch_size": 17, "train.micro_batch": 16})
    frames = (recipe.clip.frames,) if modality == "video" else ()
    sample = torch.zeros(1, 3, *frames, size_px, size_px)
    try:
        build_model(recipe, 3).train()(sample)
        refused = False
    except ValueError:
        refused = True
    assert refused == minds
    assert lone_problem(recipe, 34) == (
        "train.micro_batch: a batch of 17 leaves one sample after parts of 16, and at this size of input the BatchNorm "
        "of resnet18 needs two; set it to 9"
        if minds
        else ""
    )


def test_the_cut_that_is_named_leaves_none_alone() -> None:
    """As the step cuts: 17 in 9 and 8."""
    assert [cut.stop - cut.start for cut in micro_batches(17, 9)] == [9, 8]
