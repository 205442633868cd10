"""Labels that are wrong stand at the head of the list: of a made set with 5 % flipped, 80 % in its first 8 %."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from pipeline.tasks.classification import Classification
from pipeline.tasks.multilabel import Multilabel

SHARE, HEAD, FOUND = 0.05, 0.08, 0.8


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of a model that learned from other samples, equally flipped; labels with 5 % flipped; which were."""
    images, true = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order, n = rng.permutation(len(true)), len(true) // 2
    images, true = images[order], true[order]
    flipped = np.zeros(len(true), bool)
    for half in (slice(0, n), slice(n, None)):
        places = np.arange(len(true))[half]
        flipped[rng.choice(places, round(SHARE * len(places)), replace=False)] = True
    labels = np.where(flipped, (true + rng.integers(1, 10, len(true))) % 10, true)
    model = KNeighborsClassifier(8).fit(images[:n], labels[:n])
    return model.predict_proba(images[n:]), labels[n:], flipped[n:]


def share_in_head(doubts: np.ndarray, flipped: np.ndarray) -> float:
    head = np.argsort(-doubts, kind="stable")[: int(HEAD * len(flipped))]
    return float(flipped[head].sum() / flipped.sum())


def test_flipped_labels_head_the_list(digits: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    scores, labels, flipped = digits
    task = Classification(tuple("0123456789"))
    assert flipped.sum() == 45
    assert share_in_head(task.doubts({"scores": scores, "label": labels}), flipped) >= FOUND


def test_flipped_sets_of_labels_head_the_list(digits: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    scores, labels, flipped = digits
    hot = np.eye(10, dtype=np.uint8)[labels]
    assert share_in_head(Multilabel(tuple("0123456789")).doubts({"scores": scores, "hot": hot}), flipped) >= FOUND


def test_the_margin_by_hand() -> None:
    rows = {"scores": np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]), "label": np.array([0, 2])}
    np.testing.assert_allclose(Classification(("a", "b", "c")).doubts(rows), [-0.5, 0.6])
