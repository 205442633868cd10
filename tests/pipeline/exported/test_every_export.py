"""One contract for every kind of model: exported, it answers as it does here, for any number of samples at once."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from models.options import OPTIONS
from pipeline.exported.agreement import difference, worst_differences
from pipeline.exported.answering import exportable, free_sides, traced
from pipeline.exported.formats import run_module, run_onnx, write_onnx
from pipeline.recipe import Recipe, check
from pipeline.tasks import task_of
from pipeline.tasks.base import Task
from pipeline.training.model import build_model
from pipeline.training.step import Normalize
from tests.conftest import tiny_values
from tests.models.small import shallow, small

CLASSES = ("ant", "bee", "cat", "dog", "eel")
TOLERANCE = 1e-5
"""Beside ten times what float32 rounds: small models with batch norms of three views round much."""
VIDEO_TRANSFORMER = {"kind": "timesformer_base", "depth": 2}
QUICK: dict[str, dict[str, Any]] = {
    "resnet": {"kind": "resnet18"},
    "timesformer T+S": {**VIDEO_TRANSFORMER, "attention": "divided_space_time"},
}
# What is in another one, as MobileNetV2 is in TSM on it and a TRN's head in the one on BN-Inception, is not here again.
# Detectors have theirs in tests/models/test_ssd.py and test_operators.py: what is suppressed turns on what is rounded.
SLOW: dict[str, dict[str, Any]] = {
    "tsm": {"kind": "tsm_resnet18"},
    # Pieces of several sizes are a graph of many nodes: one block of them takes as long as all that is quick.
    "timesformer L+G": {**VIDEO_TRANSFORMER, "depth": 1, "attention": "local_global"},
    "hornet gf": {"kind": "hornet_tiny_gf"},
    "tsn non-local": {"kind": "tsn_resnet50", "non_local": True},
    "tsm temporal pool": {"kind": "tsm_resnet18", "temporal_pool": True},
    "tsm whole blocks": {"kind": "tsm_resnet18", "place": "block"},
    "tsm mobilenet": {"kind": "tsm_mobilenetv2"},
    "timesformer S": {**VIDEO_TRANSFORMER, "attention": "space_only"},
    "timesformer ST": {**VIDEO_TRANSFORMER, "attention": "joint_space_time"},
    "timesformer T+W+H": {**VIDEO_TRANSFORMER, "attention": "axial"},
    "i3d": {"kind": "i3d"},
    "trn bn-inception": {"kind": "trn_bninception", "frames": 3},
    "eco-lite": {"kind": "eco_lite"},
    "hornet 7x7": {"kind": "hornet_tiny_7x7"},
    "vit": {"kind": "vit_b_16"},
    "swin": {"kind": "swin_t"},
    "convnext": {"kind": "convnext_tiny"},
    "fcn": {"kind": "fcn8s_vgg16"},
    "unet": {"kind": "unet_bn"},
    "unet as published": {"kind": "unet"},
    "unet++": {"kind": "unetpp"},
    "segnet": {"kind": "segnet"},
    "pspnet": {"kind": "pspnet_resnet50"},
    "deeplab v1": {"kind": "deeplabv1_vgg16"},
    "deeplab v3": {"kind": "deeplabv3_resnet50"},
    "vdsr": {"kind": "vdsr"},
    "key points": {"kind": "pose_resnet18"},
}
TASKS: dict[str, dict[str, Any]] = {
    "keypoints": {
        "task": {"kind": "keypoints", "body": "lsp14"},
        "data": {"source": {"kind": "stick-figures"}},
        "loss": {},
    },
    "mask": {"task": {"kind": "segmentation"}, "data": {"source": {"kind": "digit-scenes"}}},
    "image": {
        "task": {"kind": "restoration", "scale": 2, "degrade": {}},
        "data": {"source": {"kind": "photographs"}},
        "shard": {"image": {"resize": False}},
        "augment": {"train": [{"CenterCrop": {"height": 24, "width": 32}}], "eval": []},
        "loss": {},
    },
}
OUTPUTS = {"classes": ["scores"], "mask": ["scores"], "image": ["image"], "keypoints": ["heat", "limbs"]}
CASES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def recipe_of(options: dict[str, Any]) -> Recipe:
    """A recipe with that model, small, for pictures of 24 x 32 px, of any size where they are restored, or clips."""
    family = OPTIONS[options["kind"]]
    values = tiny_values(family.modality(), model={**small(options["kind"]), **options})
    crop = [{"CenterCrop": {"height": 24, "width": 32}}]
    values |= {"augment": {"train": crop, "eval": crop}, **TASKS.get(family.answers, {})}
    return check(values, "a test's recipe")


def drawn(recipe: Recipe) -> tuple[torch.nn.Module, Task]:
    """A model whose weights are all away from where they start, with statistics of what it sees, and its task."""
    torch.manual_seed(0)
    with shallow((2, 2, 2, 2)):
        model, task = build_model(recipe, len(CLASSES)), task_of(recipe, CLASSES)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.3 if name.startswith(("head", "fc", "new_fc")) else 0.05
            parameter.add_(scale * torch.randn_like(parameter))
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = 1.0
        task.exported(model.train(), Normalize.of(recipe, torch.device("cpu"))(np.stack(views_of(recipe))))
    return model.eval(), task


def views_of(recipe: Recipe, height: int = 24, width: int = 32) -> list[np.ndarray]:
    """Three views of noise, each of another brightness."""
    frames = (recipe.clip.frames,) if recipe.model.modality() == "video" else ()
    rng = np.random.default_rng(0)
    return [rng.integers(0, most, (*frames, height, width, 3), dtype=np.uint8) for most in (64, 128, 255)]


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_the_model(name: str, tmp_path: Path) -> None:
    recipe = recipe_of({**QUICK, **SLOW}[name])
    model, task = drawn(recipe)
    views, normalize = views_of(recipe), Normalize.of(recipe, torch.device("cpu"))
    given = exportable(recipe, model, task, any_size=task.any_size)
    program = traced(given)
    write_onnx(given, program, tmp_path / "model.onnx")
    if free_sides(program, given.axes):
        views = views_of(recipe, 64, 96) + views_of(recipe, 50, 71)
    x = normalize(np.stack(views[:3]))
    with torch.no_grad():
        exact = [value.numpy() for value in task.exported(deepcopy(model).double(), x.double()).values()]
    rounded = max(map(difference, exact, run_module(given.module)([x.numpy()])))
    assert rounded < 1e-3  # else the model is one that tells nothing
    for run in (run_module(program.module()), run_onnx(tmp_path / "model.onnx")):
        worst = worst_differences(given, run, [{"pixels": pixels} for pixels in views], normalize)
        assert list(worst) == OUTPUTS[recipe.model.answers]
        assert max(worst.values()) <= TOLERANCE + 10 * rounded
    answer = dict(zip(given.outputs, run([x.numpy()]), strict=True))
    assert {len(value) for value in answer.values()} == {3}
    assert all(value.std(0).max() > 1e-3 for value in answer.values())  # not one answer to everything
    if "scores" in answer:
        assert answer["scores"].shape[1] == len(CLASSES)
        np.testing.assert_allclose(answer["scores"].sum(1), 1, atol=1e-4)


@pytest.mark.slow
def test_sizes_are_free_where_the_model_lets_them() -> None:
    free = {"fcn": True, "deeplab v3": True, "unet": True, "resnet": True, "unet as published": False}
    for name, is_free in free.items():
        recipe = recipe_of({**QUICK, **SLOW}[name])
        given = exportable(recipe, *drawn(recipe), any_size=True)
        assert free_sides(traced(given), given.axes) == is_free, name
