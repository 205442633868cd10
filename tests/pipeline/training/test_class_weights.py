from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.loss import Loss
from pipeline.shards.dataset import Dataset
from pipeline.tasks.classification import Classification
from pipeline.tasks.classification.loss import cross_entropy
from pipeline.tasks.multilabel import Multilabel
from pipeline.tasks.multilabel.loss import binary_cross_entropy
from pipeline.tasks.segmentation import Segmentation
from pipeline.training.class_weights import loss_weights
from pipeline.training.objective import Objective

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]])
ONES, WEIGHTS = torch.ones(3), torch.tensor([0.5, 1.0, 4.0])


def test_balanced_a_sample_counts_one_on_average() -> None:
    counts = (6, 2, 0, 4)
    weights = Classification(("a", "b", "c", "d")).balanced(counts, 12)
    assert weights == pytest.approx([12 / 18, 2, 1, 1])
    assert sum(n * w for n, w in zip(counts, weights, strict=True)) == pytest.approx(12)


def test_balanced_true_labels_count_as_much_as_the_others() -> None:
    counts, samples = (1, 3, 4, 0), 4
    weights = Multilabel(("a", "b", "c", "d")).balanced(counts, samples)
    assert weights == [3.0, 1 / 3, 1.0, 1.0]
    for count, weight in list(zip(counts, weights, strict=True))[:2]:
        assert count * weight == pytest.approx(samples - count)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_of_labels_they_are_torchs(smoothing: float) -> None:
    labels = torch.tensor([0, 2, 0])
    expected = functional.cross_entropy(LOGITS, labels, WEIGHTS, reduction="sum", label_smoothing=smoothing)
    found = cross_entropy(LOGITS, labels, ONES, smoothing, WEIGHTS)
    assert found.item() == pytest.approx(expected.item())
    hot = functional.one_hot(labels, 3).float()
    assert cross_entropy(LOGITS, hot, ONES, smoothing, WEIGHTS).item() == pytest.approx(expected.item())


def test_of_mixed_labels_each_class_has_its_weight() -> None:
    mixed = torch.tensor([[0.75, 0, 0.25]])
    nll = -LOGITS[:1].log_softmax(1)[0]
    expected = 0.75 * 0.5 * nll[0] + 0.25 * 4.0 * nll[2]
    assert cross_entropy(LOGITS[:1], mixed, ONES[:1], 0.0, WEIGHTS).item() == pytest.approx(expected.item())


def test_of_many_labels_the_true_ones_are_weighted() -> None:
    targets = torch.tensor([[1, 0, 1]], dtype=torch.uint8)
    log_yes, log_no = functional.logsigmoid(LOGITS[0]), functional.logsigmoid(-LOGITS[0])
    expected = -(0.5 * log_yes[0] + log_no[1] + 4.0 * log_yes[2]) / 3
    assert binary_cross_entropy(LOGITS[:1], targets, ONES[:1], 0.0, WEIGHTS).item() == pytest.approx(expected.item())


def test_from_a_recipe(make_recipe: Any, images: Dataset) -> None:
    train = replace(images.split("train"), class_counts=(13, 11, 2))
    dataset = replace(images, splits={**images.splits, "train": train})

    def weights_of(recipe: Any) -> list[float] | None:
        return loss_weights(recipe.loss, Classification(dataset.classes), dataset)

    assert weights_of(make_recipe("image")) is None
    balanced = make_recipe("image", **{"loss.class_weights": "balanced"})
    assert weights_of(balanced) == pytest.approx([26 / 39, 26 / 33, 26 / 6])
    named = make_recipe("image", **{"loss.class_weights": {"red": 3}})
    assert weights_of(named) == [1, 1, 3]
    weights = Objective.of(named, dataset, torch.device("cpu")).class_weights
    assert weights is not None
    assert weights.tolist() == [1, 1, 3]
    wrong = make_recipe("image", **{"loss.class_weights": {"rde": 3}})
    with pytest.raises(ZoetropeError, match=r"loss.class_weights: unknown class 'rde'; did you mean 'red'"):
        weights_of(wrong)


def test_of_masks_pixels_are_counted(images: Dataset) -> None:
    task, balanced = Segmentation(images.classes), Loss(class_weights="balanced")
    counted = replace(images, amounts={"train": (600, 200, 0)})
    assert loss_weights(balanced, task, counted) == pytest.approx([2 / 3, 2, 1])
    with pytest.raises(ZoetropeError, match=r"loss.class_weights: balanced goes by pixels"):
        loss_weights(balanced, task, images)
