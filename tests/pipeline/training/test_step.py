import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import plain
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of
from pipeline.training.distributed import Process
from pipeline.training.learner import Learner
from pipeline.training.model import build_model
from pipeline.training.objective import Objective
from pipeline.training.step import Normalize, Running, check_finite, micro_batches, train_step
from tests.pipeline.tasks.detection.boxed import write_boxed
from tests.pipeline.training import one_step

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


def test_micro_batches_cover_the_batch_in_order() -> None:
    assert list(micro_batches(7, 3)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(micro_batches(7, None)) == [slice(0, 7)]
    assert list(micro_batches(2, 5)) == [slice(0, 2)]


def test_images_are_normalised_to_channels_first(make_recipe: Any) -> None:
    recipe = make_recipe("image", **{"augment.mean": [0.0, 0.2, 0.4], "augment.std": [1.0, 0.5, 0.25]})
    pixels = np.full((1, 2, 4, 3), (255, 102, 0), np.uint8)
    pixels[0, 1, 3] = (0, 255, 255)
    x = Normalize.of(recipe, CPU)(pixels)
    assert (x.shape, x.dtype) == ((1, 3, 2, 4), torch.float32)
    assert x[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.4, -1.6])
    assert x[0, :, 1, 3].tolist() == pytest.approx([0.0, 1.6, 2.4])
    assert x.is_contiguous()


def test_clips_are_normalised_frame_by_frame(make_recipe: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 6, 3), dtype=np.uint8)
    normalize = Normalize.of(make_recipe("image"), CPU)
    x = normalize(pixels)
    assert x.shape == (2, 3, 5, 4, 6)
    assert torch.equal(x[:, :, 3], normalize(pixels[:, 3]))


@pytest.mark.parametrize(("shape", "layout"), [((2, 4, 6, 3), "channels_last"), ((2, 5, 4, 6, 3), "channels_last_3d")])
def test_channels_last_is_another_layout_of_the_same_values(
    make_recipe: Any, shape: tuple[int, ...], layout: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    first = Normalize.of(make_recipe("image"), CPU)(pixels)
    last = Normalize.of(make_recipe("image", **{"train.channels_last": True}), CPU)(pixels)
    assert torch.equal(first, last)
    assert last.is_contiguous(memory_format=getattr(torch, layout))
    assert not last.is_contiguous()


class Mean(nn.Module):
    """Says class 1 as far as an image is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros(len(x)), x.mean(dim=(1, 2, 3))], 1)


def test_views_are_averaged_as_probabilities(make_recipe: Any) -> None:
    recipe = make_recipe("image", **{"train.micro_batch": 2, "augment.mean": [0.5] * 3, "augment.std": [0.1] * 3})
    pixels = np.zeros((2, 3, 4, 4, 3), np.uint8)
    pixels[0, 1], pixels[1, :] = 255, 130
    task = task_of(recipe, ("dark", "bright"))
    found = task.infer(Running(Mean(), Normalize.of(recipe, CPU), recipe.train), {"pixels": pixels})["scores"]
    bright, middle, dark = (torch.tensor((value / 255 - 0.5) / 0.1).sigmoid() for value in (255, 130, 0))
    assert found[:, 1].tolist() == pytest.approx([float(bright + 2 * dark) / 3, float(middle)], abs=1e-6)
    assert found.sum(1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("trained", "asked", "precision"),
    [("fp32", None, "fp32"), ("bf16", None, "bf16"), ("fp32", "bf16", "bf16"), ("bf16", "fp32", "fp32")],
)
def test_an_evaluation_computes_in_its_own_precision(
    make_recipe: Any, trained: str, asked: str | None, precision: str
) -> None:
    recipe = make_recipe("image", **{"train.precision": trained, "evaluate.precision": asked})
    run = Running(nn.Linear(3, 2), Normalize.of(recipe, CPU), recipe.train, recipe.evaluate)
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    assert run({"pixels": torch.zeros(1, 3)}).dtype == dtypes[precision]
    in_training = Running(run.model, run.normalize, recipe.train)
    assert in_training({"pixels": torch.zeros(1, 3)}).dtype == dtypes[trained]


def one_batch(n: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "pixels": rng.integers(0, 256, (n, 1, 16, 16, 3), dtype=np.uint8),
        "label": rng.integers(0, 3, n),
        "weight": np.ones(n, np.float32),
    }


def parameters_after(recipe: Any, precision_scaler: bool = False, lr: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(5)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD([{"params": list(model.parameters()), "decays": True}], lr=lr)
    learner = Learner(model, optimizer, torch.amp.GradScaler("cpu", enabled=precision_scaler), None, None)
    normalize, objective = Normalize.of(recipe, CPU), Objective(recipe, task_of(recipe, ("blue", "green", "red")))
    sums = train_step(model, learner, one_batch(), 6, (0, 0), normalize, objective, Process())
    assert all(parameter.grad is None for parameter in model.parameters())
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]), sums


@pytest.mark.parametrize("micro_batch", [1, 4, 6, 100])
def test_accumulated_gradients_are_the_large_batchs(make_recipe: Any, micro_batch: int) -> None:
    whole, whole_sums = parameters_after(make_recipe("image", **{"loss.label_smoothing": 0.1}))
    parts, sums = parameters_after(
        make_recipe("image", **{"loss.label_smoothing": 0.1, "train.micro_batch": micro_batch})
    )
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(sums, whole_sums)
    assert sums[-1] == 6


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_steps_nearly_where_single_does(make_recipe: Any, precision: str) -> None:
    start, _ = parameters_after(make_recipe("image"), lr=0.0)
    single, _ = parameters_after(make_recipe("image"))
    half, _ = parameters_after(make_recipe("image", **{"train.precision": precision}), precision == "fp16")
    assert not torch.equal(half, single)
    assert (half - single).norm() < 0.02 * (single - start).norm()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_clipping_bounds_the_gradient_whatever_its_scale(make_recipe: Any, precision: str) -> None:
    fp16 = precision == "fp16"
    start, _ = parameters_after(make_recipe("image"), lr=0.0)
    free, _ = parameters_after(make_recipe("image", **{"train.precision": precision}), fp16)
    clipped, _ = parameters_after(make_recipe("image", **{"train.precision": precision, "train.grad_clip": 0.01}), fp16)
    assert (free - start).norm() > 0.02
    assert (clipped - start).norm() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_l1_moves_every_weight_by_its_sign_whatever_the_scale(make_recipe: Any, precision: str) -> None:
    fp16 = precision == "fp16"
    start, _ = parameters_after(make_recipe("image"), lr=0.0)
    free, _ = parameters_after(make_recipe("image", **{"train.precision": precision}), fp16)
    drawn, _ = parameters_after(make_recipe("image", **{"train.precision": precision, "optimizer.l1": 0.5}), fp16)
    torch.testing.assert_close(drawn, free - 0.5 * start.sign())


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_diverged_loss_is_an_error(loss: float) -> None:
    check_finite(0.5, 3, lr=0.05)
    with pytest.raises(ZoetropeError, match=r"at step 3: the training has diverged. Lower optimizer.lr \(now 0.05\)"):
        check_finite(loss, 3, lr=0.05)


ONE_OF_ALL = [{"kind": kind, "probability": 0.3} for kind in ("mixup", "cutmix", "ricap")]
MIXED = {"mixing": {"kind": "choose", "of": ONE_OF_ALL}, "train.mix_group": 4, "train.batch_size": 20}
# Without BatchNorm; of a side that the last of its maps needs
BOXES = {
    "task": {"kind": "detection"},
    "data": {"source": {"kind": "coco", "path": "/nowhere", "annotations": "/nowhere.json"}},
    "model": {"kind": "ssd300_vgg16", "width": 4},
    "augment": {"train": [{"Resize": {"height": 257, "width": 257}}, {"HorizontalFlip": {}}], "eval": []},
    "train.batch_size": 8,
}
# Without a norm that learns
RCNN: dict[str, Any] = {
    **BOXES,
    "model": {"kind": "fasterrcnn_resnet18_fpn", "width": 8, "channels": 8, "hidden": 16, "norm": "frozen", "rois": 32},
    "augment": {"train": [{"Resize": {"height": 64, "width": 64}}, {"HorizontalFlip": {}}], "eval": []},
}
YOLO = {**RCNN, "model": {"kind": "yolov5n"}, "train.freeze": ["*.bn.*"]}
MASKS = {
    **RCNN,
    "task": {"kind": "instances"},
    "model": {**RCNN["model"], "kind": "cascade_mask_rcnn_resnet18"},
}
JOBS: list[dict[str, Any]] = [
    {"net": "plain", "k": 0},
    {"net": "plain", "k": 0, "train.batch_size": 7, "loss.label_smoothing": 0.1},  # 3 and 4 samples
    {"net": "plain", "k": 3, "train.keep_last": True},  # 26 samples in batches of 8: 2 are left
    {"net": "plain", "k": 1, "train.keep_last": True, "train.batch_size": 25},  # 1 is left: rank 0 has none
    {"net": "plain", "k": 0, "train.micro_batch": 2},
    # Eight channels: with four, oneDNN 3.12 writes beyond its memory on CPUs that have AVX2 and no AVX-512.
    {"net": "resnet", "k": 0, "train.channels_last": True, "model.width": 8},
    {"net": "plain", "k": 0, **MIXED},  # 8 and 12 samples
    {"net": "plain", "k": 0, **MIXED, "train.micro_batch": 4, "loss.label_smoothing": 0.1},
    {"net": "plain", "k": 1, **MIXED, "train.batch_size": 22, "train.keep_last": True},  # 4 are left: rank 0 has none
    {"net": "resnet", "k": 0, "model.width": 8, "train.freeze": ["conv1.*", "bn1.*", "layer[123].*"]},
    {"net": "ssd", "k": 0, **BOXES, "train.batch_size": 7},  # 3 and 4 samples, of one to three objects
    {"net": "ssd", "k": 0, **BOXES, "train.micro_batch": 2},
    {"net": "ssd", "k": 0, **BOXES, "mixing": {"kind": "ricap", "beta": 1.0}, "train.mix_group": 4},  # mosaics
    # Resized to the second of the sizes, then blended
    {"net": "ssd", "k": 0, **BOXES, "mixing": {"kind": "mixup"}, "train.mix_group": 4, "train.sizes": [257, 264]},
    {"net": "ssd", "k": 1, **BOXES, "train.keep_last": True, "train.batch_size": 25},  # 1 is left: rank 0 has none
    {"net": "rcnn", "k": 0, **RCNN, "train.batch_size": 7, "train.micro_batch": 2},
    {"net": "rcnn", "k": 0, **RCNN, "mixing": {"kind": "mixup"}, "train.mix_group": 4},
    {"net": "rcnn", "k": 1, **RCNN, "train.keep_last": True, "train.batch_size": 25},
    # Batch norms that keep their statistics, and mosaics whose pictures are zoomed
    {"net": "yolo", "k": 0, **YOLO, "train.batch_size": 7, "train.micro_batch": 2},
    {"net": "yolo", "k": 0, **YOLO, "mixing": {"kind": "mosaic"}, "train.mix_group": 4},
    {"net": "masks", "k": 0, **MASKS, "train.batch_size": 7, "train.micro_batch": 2},
    {"net": "masks", "k": 0, **MASKS, "mixing": {"kind": "copy_paste"}, "train.mix_group": 4},
    {"net": "masks", "k": 1, **MASKS, "train.keep_last": True, "train.batch_size": 25},  # rank 0 has no object
]


@pytest.fixture(scope="module")
def done(make_recipe: Any, images: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`done(job, rank, world)`: what a process had after a job."""
    folder = tmp_path_factory.mktemp("step")
    boxes = write_boxed(tmp_path_factory.mktemp("boxes"), outlined=True)
    jobs = [
        {
            "recipe": plain(make_recipe("image", **{key: job[key] for key in job if key not in ("net", "k")})),
            "dataset": str(boxes.folder if job["net"] in ("ssd", "rcnn", "yolo", "masks") else images.folder),
            "k": job["k"],
            "net": job["net"],
        }
        for job in JOBS
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = str(Path(__file__).with_name("one_step.py"))
    running = [
        subprocess.Popen([sys.executable, script, str(rank), "2", str(folder)], cwd=ROOT, env=environment())
        for rank in range(2)
    ]
    one_step.main(0, 1, folder)
    assert [process.wait(timeout=600) for process in running] == [0, 0]
    return lambda job, rank, world: torch.load(folder / f"{rank}-of-{world}-{job}.pt", weights_only=True)


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("job", [0, 1, 2, 3, 4, 6, 7, 8, *range(10, 23)])
def test_two_processes_step_where_one_does(done: Any, job: int) -> None:
    alone, first, second = done(job, 0, 1), done(job, 0, 2), done(job, 1, 2)
    # A step of lr 1: weights are as large as gradients, and so are their rounding errors
    largest = max(1.0, *(float(expected.detach().abs().max()) for expected in alone["parameters"].values()))
    for name, expected in alone["parameters"].items():
        assert torch.equal(first["parameters"][name], second["parameters"][name])
        torch.testing.assert_close(first["parameters"][name], expected, rtol=0, atol=4e-6 * largest)
    torch.testing.assert_close(first["sums"], alone["sums"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("job", "left"), [(3, 1), (8, 4)])
def test_a_process_without_a_sample_takes_part_with_weight_zero(done: Any, job: int, left: int) -> None:
    assert done(job, 0, 2)["weight"].tolist() == [0]
    assert done(job, 1, 2)["weight"].tolist() == [1] * left
    assert done(job, 0, 2)["sums"][-1] == left


def test_mixing_changes_the_step(done: Any) -> None:
    names = done(0, 0, 1)["parameters"]
    assert any(not torch.equal(done(6, 0, 1)["parameters"][name], done(7, 0, 1)["parameters"][name]) for name in names)
    # Of 20 mixed samples less than 20 can be met.
    assert done(0, 0, 1)["sums"][3] == 8
    assert 10 < done(6, 0, 1)["sums"][3] < 20


def test_buffers_are_rank_0s_once_they_are_shared(done: Any) -> None:
    first, second = done(5, 0, 2), done(5, 1, 2)
    means = [name for name in first["own_buffers"] if name.endswith("running_mean")]
    assert any(not torch.equal(first["own_buffers"][name], second["own_buffers"][name]) for name in means)
    for name, buffer in first["own_buffers"].items():
        assert torch.equal(first["shared_buffers"][name], buffer)
        assert torch.equal(second["shared_buffers"][name], buffer)
    assert all(torch.equal(first["parameters"][name], value) for name, value in second["parameters"].items())


def test_what_is_frozen_stays_in_every_process_and_the_rest_learns(done: Any, make_recipe: Any) -> None:
    torch.manual_seed(7)  # as one_step.py does
    start = build_model(make_recipe("image", **{"model.width": 8}), 3)
    first, second = done(9, 0, 2), done(9, 1, 2)
    moved = {name for name, value in start.named_parameters() if not torch.equal(first["parameters"][name], value)}
    assert {name.partition(".")[0] for name in moved} == {"layer4", "fc"}
    assert all(torch.equal(first["parameters"][name], value) for name, value in second["parameters"].items())
    kept = {name for name, value in start.named_buffers() if torch.equal(second["own_buffers"][name], value)}
    assert {name.partition(".")[0] for name in kept} == {"bn1", "layer1", "layer2", "layer3"}
    assert not any(name.startswith("layer4") for name in kept)
