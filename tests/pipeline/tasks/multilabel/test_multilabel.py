import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch.nn import functional

from augment.mixing.batch import Drawn
from pipeline.shards.reader import RawSample
from pipeline.tasks.base import Tally
from pipeline.tasks.multilabel import Multilabel, measure
from pipeline.tasks.multilabel.loss import binary_cross_entropy

CLASSES = ("cat", "dog", "eel")
LOGITS = torch.tensor([[2.0, -1.0, 0.0], [0.5, 3.0, -2.0], [-1.0, 1.0, 1.0]])
TARGETS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.uint8)
ONES = torch.ones(3)
TASK = Multilabel(CLASSES)
PIXELS = np.zeros((2, 2, 3), np.uint8)


def test_targets_are_multi_hot() -> None:
    dtype, shape = TASK.layout(2, 2)["hot"]
    targets = np.ones((3, *shape), dtype)
    labels: list[int | tuple[int, ...]] = [(0, 2), (), 1]
    for i, label in enumerate(labels):
        TASK.put({"hot": targets}, i, RawSample(memoryview(b""), "jpg", label, "0", 2, 2, 1), None)
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_loss_is_that_of_torch() -> None:
    expected = 3 * functional.binary_cross_entropy_with_logits(LOGITS, TARGETS.float())
    assert binary_cross_entropy(LOGITS, TARGETS, ONES, 0.0).item() == pytest.approx(expected.item())


def test_label_smoothing_is_a_choice_of_two() -> None:
    soft = torch.where(TARGETS == 1, 0.95, 0.05)
    expected = 3 * functional.binary_cross_entropy_with_logits(LOGITS, soft)
    assert binary_cross_entropy(LOGITS, TARGETS, ONES, 0.1).item() == pytest.approx(expected.item())


def test_a_sample_of_weight_zero_counts_nowhere() -> None:
    weights, kept = torch.tensor([1.0, 0.0, 1.0]), [0, 2]
    scores = LOGITS.sigmoid()
    assert torch.allclose(measure.sums(scores, TARGETS, weights), measure.sums(scores[kept], TARGETS[kept], ONES[:2]))
    loss = binary_cross_entropy(LOGITS, TARGETS, weights, 0.0)
    assert loss.item() == pytest.approx(binary_cross_entropy(LOGITS[kept], TARGETS[kept], ONES[:2], 0.0).item())


def test_sums_add_up_and_have_their_length() -> None:
    scores = LOGITS.sigmoid()
    whole = measure.sums(scores, TARGETS, ONES)
    parts = [measure.sums(scores[i : i + 1], TARGETS[i : i + 1], ONES[:1]) for i in range(3)]
    assert whole.shape == (4 + 2 * measure.BINS * 3 + 1,)
    assert whole.dtype == torch.float64
    assert torch.allclose(whole, parts[0] + parts[1] + parts[2])
    measured = measure.metrics(whole.numpy())
    assert measured["loss"] == pytest.approx(binary_cross_entropy(LOGITS, TARGETS, ONES, 0.0).item() / 3)
    # said: cat, eel / cat, dog / dog, eel (0.5 counts); true among them: cat / cat, dog / eel
    assert measured["f1"] == pytest.approx(2 * 4 / (6 + 4))
    short = measure.metrics(measure.sums(scores, TARGETS, ONES, training=True).numpy())
    assert short == {name: measured[name] for name in ("loss", "f1")}


def test_mixed_targets() -> None:
    index, shares = torch.tensor([[0, 1], [1, 2], [2, 0]]), torch.tensor([[0.75, 0.25], [1.0, 0.0], [0.4, 0.6]])
    mixed = TASK.mixed({"hot": TARGETS}, Drawn((), index, shares))["hot"]
    assert mixed.tolist() == [pytest.approx(row) for row in ([1, 0.25, 0], [1, 1, 0], [0.6, 0, 0.4])]
    smooth = 0.9 * mixed + 0.05
    expected = 3 * functional.binary_cross_entropy_with_logits(LOGITS, smooth)
    assert binary_cross_entropy(LOGITS, mixed, ONES, 0.1).item() == pytest.approx(expected.item())
    perfect = measure.metrics(measure.sums(mixed, mixed, ONES, training=True).numpy())
    assert perfect["f1"] == 1.0


def test_known_average_precision() -> None:
    # from the highest score: true, false, true: 1/2 * 1/1 + 1/2 * 2/3
    assert measure.average_precision(np.array([1, 0, 1]), np.array([1, 1, 1])) == pytest.approx(5 / 6)
    assert measure.average_precision(np.array([1]), np.array([4])) == pytest.approx(1 / 4)
    assert np.isnan(measure.average_precision(np.array([0]), np.array([4])))
    assert measure.mean_of_measured(np.array([0.5, np.nan, 1.0])) == 0.75
    assert measure.mean_of_measured(np.array([np.nan])) == 0.0


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40))
def test_average_precision_is_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, hot = np.array([[score / 7] for score, _ in rows]), np.array([[is_true] for _, is_true in rows])
    (ours,) = measure.exact_average_precision(scores, hot)
    if hot.any():
        assert ours == pytest.approx(average_precision_score(hot[:, 0], scores[:, 0]))
    else:
        assert np.isnan(ours)


def test_binned_map_is_that_of_binned_scores_and_near_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((400, 5)) < 0.2).astype(np.uint8)
    logits = rng.normal(size=(400, 5)) + 1.5 * targets
    scores = 1 / (1 + np.exp(-logits))
    sums = measure.sums(torch.from_numpy(scores), torch.from_numpy(targets), torch.ones(400))
    binned = measure.metrics(sums.numpy())["mAP"]
    steps = np.floor((logits + 16) * 32)
    expected = np.mean([average_precision_score(targets[:, k], steps[:, k]) for k in range(5)])
    exact = np.mean([average_precision_score(targets[:, k], scores[:, k]) for k in range(5)])
    assert binned == pytest.approx(expected, abs=1e-9)
    assert binned == pytest.approx(exact, abs=0.005)


def test_extreme_scores_are_finite() -> None:
    sums = measure.sums(torch.tensor([[0.0, 1.0]]), torch.tensor([[1, 1]], dtype=torch.uint8), torch.ones(1))
    assert torch.isfinite(sums).all()
    assert measure.metrics(sums.numpy())["mAP"] == 1.0
    nothing = measure.metrics(np.zeros(4 + 2 * measure.BINS * 2 + 1))
    assert nothing == {"loss": 0.0, "mAP": 0.0, "f1": 0.0}


def test_words() -> None:
    scores = np.array([[0.9, 0.6, 0.2], [0.1, 0.2, 0.1]], np.float32)
    assert measure.named(np.array([1, 0, 1]), CLASSES) == "cat, eel"
    assert measure.named(np.zeros(3), CLASSES) == "none"
    row = {"scores": scores[0], "hot": np.array([1, 1, 0])}
    assert TASK.compared(PIXELS, row) == (PIXELS, "0.43 cat, dog", True, "")  # 0.9 * 0.6 * 0.8
    assert TASK.compared(PIXELS, row | {"hot": np.zeros(3)}) == (PIXELS, "0.43 cat, dog\nis none", False, "")
    assert TASK.row({"scores": scores[0]}) == {"labels": ["cat", "dog"], "scores": pytest.approx([0.9, 0.6])}
    assert TASK.row({"scores": scores[1]}, top=2) == {
        "labels": [],
        "scores": [],
        "top_labels": ["dog", "cat"],
        "top_scores": pytest.approx([0.2, 0.1]),
    }
    assert [TASK.words({"scores": one}) for one in scores] == ["0.90 cat, 0.60 dog", "nothing"]
    targets = np.array([[1, 1, 0], [1, 0, 0]])
    certainty = TASK.certainty({"scores": scores, "hot": targets})
    assert certainty[0] == pytest.approx(np.log([0.9, 0.6, 0.8]).mean())
    assert certainty[1] < certainty[0]


def test_report(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    scores = np.array([[0.9, 0.6, 0.2], [0.1, 0.7, 0.1]], np.float32)
    targets = np.array([[1, 0, 0], [1, 1, 0]], np.uint8)
    exact = TASK.report(tmp_path, ["a", "b"], Tally(np.zeros(0), {"hot": targets, "scores": scores}))
    assert exact == {"mAP": 1.0}
    rows = list(csv.DictReader((tmp_path / "per_class.csv").open()))
    assert [(row["class"], row["samples"], row["recall"], row["precision"]) for row in rows] == [
        ("cat", "2", "0.5", "1.0"),
        ("dog", "1", "1.0", "0.5"),
        ("eel", "0", "", ""),
    ]
    assert [row["average precision"] for row in rows] == ["1.0", "1.0", ""]
    said = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert [(row["file"], row["labels"], row["predicted"], row["dog"]) for row in said] == [
        ("a", "cat", "cat, dog", "0.6000"),
        ("b", "cat, dog", "dog", "0.7000"),
    ]
    assert (tmp_path / "figures" / "average_precision.png").stat().st_size > 1000
