import numpy as np
import pytest

from pipeline.tasks.calibration import bins, ece, of_classes, of_sets, temperature, tempered


def test_ece_is_the_mean_distance_of_confidence_and_share_that_is_right() -> None:
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    right = np.array([True] * 8 + [False] * 2 + [True] * 6 + [False] * 4)
    found = bins(confidence, right)
    assert found.answers.tolist() == [10, 10]
    np.testing.assert_allclose(found.confidence, [0.6, 0.9])
    np.testing.assert_allclose(found.accuracy, [0.6, 0.8])
    assert ece(confidence, right) == pytest.approx(0.5 * 0.0 + 0.5 * 0.1)
    assert bins(np.array([0.0, 1.0]), np.array([False, True])).answers.tolist() == [1, 1]


def test_numbers_of_classes_by_hand() -> None:
    scores, labels = np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0])
    numbers = of_classes(scores, labels).numbers
    assert numbers["Brier score"] == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    assert numbers["NLL"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert numbers["ECE"] == pytest.approx((0.2 + 0.6) / 2)


def test_numbers_of_sets_by_hand() -> None:
    found = of_sets(np.array([[0.9, 0.2]]), np.array([[1, 1]]))
    np.testing.assert_allclose(found.confidence, [0.9, 0.8])
    assert found.right.tolist() == [True, False]
    assert found.numbers["Brier score"] == pytest.approx((0.1**2 + 0.8**2) / 2)
    assert found.numbers["NLL"] == pytest.approx(-(np.log(0.9) + np.log(0.2)) / 2)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_by_is_found(true: float) -> None:
    """Labels drawn by softmax(logits / true), of a model that says softmax(logits)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 5))
    scores = tempered(np.exp(logits), 1.0)
    drawn = tempered(scores, true).cumsum(1) > rng.random((4000, 1))
    labels = drawn.argmax(1)
    assert temperature(scores, labels) == pytest.approx(true, rel=0.1)
    numbers = of_classes(scores, labels).numbers
    assert numbers["ECE with it"] < 0.03
    assert numbers["NLL with it"] <= numbers["NLL"] + 1e-3


def test_a_temperature_of_another_split_is_tried_on_this_one() -> None:
    """The other one was drawn by a temperature of 2: what is said of it here is of all samples, by that."""
    rng = np.random.default_rng(0)
    scores = tempered(np.exp(rng.normal(0, 2, (4000, 5))), 1.0)
    drawn = (tempered(scores, 2.0).cumsum(1) > rng.random((4000, 1))).argmax(1)
    found = of_classes(scores[:2000], drawn[:2000], (scores[2000:], drawn[2000:]))
    warmth = temperature(scores[2000:], drawn[2000:])
    assert found.numbers["temperature"] == warmth == pytest.approx(2.0, rel=0.1)
    cooled = tempered(scores[:2000], warmth)
    assert found.numbers["ECE with it"] == ece(cooled.max(1), cooled.argmax(1) == drawn[:2000]) < 0.03
    assert found.remark == "The temperature was fitted on the validation split."
    one = of_classes(scores[:1], drawn[:1], (scores[2000:], drawn[2000:]))
    assert one.numbers["temperature"] == warmth
    assert of_classes(scores, drawn, (scores[:0], drawn[:0])).remark.startswith("With it: each half")


def test_one_sample_and_none() -> None:
    assert of_classes(np.array([[0.3, 0.7]]), np.array([1])).numbers.keys() == {"ECE", "Brier score", "NLL"}
    assert np.isnan(of_classes(np.zeros((0, 2)), np.zeros(0, int)).numbers["ECE"])
