"""One contract for every task."""

import csv
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from pipeline.recipe.schema import Task as Section
from pipeline.tasks import TASKS

CLASSES = ("cat", "dog", "eel")


def test_every_kind_of_a_recipe_has_its_task() -> None:
    assert set(get_args(Section.model_fields["kind"].annotation)) == TASKS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image-classification", "image-multilabel"])
def test_a_report_of_very_many_classes_has_no_table_of_all_pairs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tracking.figures.save", lambda figure, path: None)  # is slow while memory is traced
    task, num_classes, n = TASKS[kind], 22_000, 60
    classes = tuple(f"c{i}" for i in range(num_classes))
    dtype, shape = task.target_layout(num_classes)
    targets, scores = np.zeros((n, *shape), dtype), np.full((n, num_classes), 1e-5, np.float32)
    for i in range(n):
        task.put_target(targets, i, 100 * i)
        scores[i, 100 * (i // 2)] = 0.75
    tracemalloc.start()
    try:
        task.write_report(tmp_path, classes, [str(i) for i in range(n)], targets, scores)
        assert tracemalloc.get_traced_memory()[1] < 150 << 20  # a table of all pairs has 4 GB
    finally:
        tracemalloc.stop()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.csv")) < 1 << 20
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert list(csv.reader(file))[4] == ["3", "c300", "c100", "0.7500"]


@pytest.mark.parametrize("kind", TASKS)
def test_contract(kind: str, tmp_path: Path) -> None:
    task = TASKS[kind]
    dtype, shape = task.target_layout(3)
    targets = np.zeros((2, *shape), dtype)
    for i, label in enumerate([2, 0]):
        task.put_target(targets, i, label)
    hot, ones = torch.from_numpy(targets), torch.ones(2)
    logits = torch.tensor([[-9.0, -9.0, 9.0], [9.0, -9.0, -9.0]], requires_grad=True)
    loss = task.loss_sum(logits, hot, ones, 0.1)
    loss.backward()
    scores = task.scores(logits).detach()
    sums = task.sums(scores, hot, ones)
    assert sums.shape == (task.num_sums(3),)
    assert sums[-1] == 2
    measured = task.metrics(sums.numpy())
    assert measured[task.HEADLINE] == 1.0
    assert {"loss", *task.IN_TRAINING} <= measured.keys()
    (tmp_path / "figures").mkdir()
    better = task.write_report(tmp_path, CLASSES, ["a", "b"], targets, scores.numpy())
    assert better.keys() <= measured.keys()
    assert list(tmp_path.glob("*.csv"))
    assert list(tmp_path.glob("figures/*.png"))
    for target, score in zip(targets, scores.numpy(), strict=True):
        assert task.truth_text(target, CLASSES) == task.answer_text(score, CLASSES)[0]
    assert task.answers(scores.numpy(), CLASSES).keys() == task.ANSWER.keys()
    assert task.certainty(scores.numpy(), targets).shape == (2,)


def test_a_task_loads_neither_torch_nor_matplotlib_until_it_computes() -> None:
    code = "import sys, pipeline.tasks; print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    root = str(Path(__file__).parents[3])
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert made.stdout.strip() == "[]"
