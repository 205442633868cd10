import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch.nn import functional

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, plain
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of
from pipeline.tasks.classification.loss import divergence
from pipeline.tasks.multilabel.loss import binary_divergence
from pipeline.training.distill import load_teacher
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from pipeline.training.model import build_model
from pipeline.training.objective import Objective
from pipeline.training.step import Normalize

CPU = torch.device("cpu")
STUDENT = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 3.0]])
TEACHER = torch.tensor([[1.0, 1.0, -2.0], [4.0, 0.0, 3.0]])


def export(recipe: Recipe, folder: Path, classes: tuple[str, ...] = ("blue", "green", "red")) -> Any:
    """A model as the stage `export` leaves it; returns the model."""
    torch.manual_seed(3)
    model = build_model(recipe, len(classes))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean)  # type: ignore[arg-type]  # it has one
    folder.mkdir(parents=True)
    save_file(dict(model.state_dict()), folder / "model.safetensors")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(plain(recipe)))
    (folder / "classes.json").write_text(json.dumps(classes))
    return model


def test_a_known_divergence() -> None:
    # p = softmax([ln 3, 0]) = (3/4, 1/4); the student says 1/2 each: KL = ln 2 - H(p)
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergence(student, teacher, 1.0).item() == pytest.approx(kl)
    assert divergence(2 * student, 2 * teacher, 2.0).item() == pytest.approx(4 * kl)
    assert binary_divergence(torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]]), 1.0).item() == pytest.approx(kl / 2)
    for same in (divergence, binary_divergence):
        assert same(TEACHER, TEACHER, 3.0).abs().max() < 1e-6


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_it_is_cross_entropy_with_the_teachers_answer_but_for_a_constant(temperature: float) -> None:
    student = STUDENT.clone().requires_grad_()
    divergence(student, TEACHER, temperature).sum().backward()
    found, student.grad = student.grad, None
    soft = (TEACHER / temperature).softmax(1)
    (temperature**2 * functional.cross_entropy(student / temperature, soft, reduction="sum")).backward()
    torch.testing.assert_close(found, student.grad)


def test_the_gradient_hardly_depends_on_a_high_temperature() -> None:
    grads = []
    for temperature in (50.0, 500.0):
        student = STUDENT.clone().requires_grad_()
        divergence(student, TEACHER, temperature).sum().backward()
        assert student.grad is not None
        grads.append(student.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=0.1, atol=0.02)


def test_the_loss_is_a_weighted_sum(make_recipe: Any) -> None:
    distill = {"teacher": "./none", "temperature": 2.0, "weight": 0.3}
    recipe = make_recipe("image", loss={"label_smoothing": 0.1, "distill": distill})
    objective = Objective(recipe, task_of(recipe, ("a", "b", "c")), teacher=lambda x: TEACHER)  # type: ignore[arg-type]  # all that is asked of it
    labels, weights = torch.tensor([0, 2]), torch.tensor([1.0, 0.0])
    labelled = functional.cross_entropy(STUDENT[:1], labels[:1], label_smoothing=0.1)
    expected = 0.7 * labelled + 0.3 * divergence(STUDENT, TEACHER, 2.0)[0]
    parts = objective.losses(torch.nn.Identity(), STUDENT, {"pixels": STUDENT}, {"label": labels}, weights)
    assert sum(part.item() for part in parts.values()) == pytest.approx(expected.item())


def test_a_teacher_answers_as_it_would_by_itself_and_does_not_learn(
    make_recipe: Any, images: Dataset, tmp_path: Path
) -> None:
    theirs = make_recipe("image", **{"augment.mean": [0.1, 0.2, 0.3], "augment.std": [0.5, 0.6, 0.7]})
    model = export(theirs, tmp_path / "export" / "model").eval()
    recipe = make_recipe("image", **{"loss.distill": {"teacher": str(tmp_path / "export")}})
    teacher = load_teacher(recipe, images, CPU)
    assert teacher is not None
    pixels = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8).numpy()
    ours, its_own = Normalize.of(recipe, CPU)(pixels), Normalize.of(theirs, CPU)(pixels)
    answers = teacher(ours.requires_grad_())
    assert not answers.requires_grad
    torch.testing.assert_close(answers, model(its_own), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(teacher(ours[:1]), answers[:1], rtol=1e-4, atol=1e-4)  # it is in eval mode
    assert load_teacher(make_recipe("image"), images, CPU) is None


def test_a_teacher_of_something_else_is_refused(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    export(make_recipe("image"), tmp_path / "other", ("blue", "red", "green"))
    with pytest.raises(ZoetropeError, match=r"other knows other classes .* must be the same, in the same order"):
        load_teacher(make_recipe("image", **{"loss.distill": {"teacher": f"{tmp_path}/other"}}), images, CPU)
    export(make_recipe("video"), tmp_path / "clips")
    with pytest.raises(ZoetropeError, match=r"its task.kind is video-classification, not image-classification"):
        load_teacher(make_recipe("image", **{"loss.distill": {"teacher": f"{tmp_path}/clips"}}), images, CPU)


@pytest.mark.parametrize("modality", ["image", "video"])
def test_a_student_comes_to_answer_as_its_teacher(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, modality: str
) -> None:
    recipe = make_recipe(modality)
    export(recipe, tmp_path / "teacher")
    before = (tmp_path / "teacher" / "model.safetensors").read_bytes()
    losses: list[float] = []
    distill = {"teacher": f"{tmp_path}/teacher", "temperature": 2.0, "weight": 1.0}
    changes = {"loss.distill": distill, "mixing": {"kind": "mixup"}, "train.duration": "8ep", "train.evaluate": "8ep"}
    train(
        make_recipe(modality, **changes),
        request.getfixturevalue(modality + "s"),
        Process(),
        lambda step, total, found: losses.extend([found["train/loss"]] if "train/loss" in found else []),
        lambda step, save, metrics: None,
    )
    assert losses[-1] < 0.7 * losses[0]
    assert (tmp_path / "teacher" / "model.safetensors").read_bytes() == before
