from typing import Any

import numpy as np
import pytest

from pipeline.report.compare import bootstrap, paired, per_class


def details(files: list[str], scores: list[float]) -> dict[str, Any]:
    return {"file": files, "score": scores}


def test_samples_are_paired_by_their_names() -> None:
    before = details(["a", "b", "c", "d"], [1, 0, 1, 0])
    after = details(["d", "c", "b", "e"], [1, 0, 0, 1])
    found = paired(before, after)
    assert found is not None
    assert (found.samples, found.mean) == (3, 0.0)
    assert found.gained == [(3, 0, 1.0)]
    assert found.lost == [(2, 1, -1.0)]
    assert found.low <= 0 <= found.high
    assert paired(before, details(["x"], [1])) is None


@pytest.mark.parametrize("made", ["right and wrong", "numbers"])
def test_the_interval_is_that_of_the_normal_approximation(made: str) -> None:
    """Of many samples: mean and 1.96 standard errors."""
    rng = np.random.default_rng(1)
    differences = rng.choice([-1.0, 0, 1], 3000, p=[0.1, 0.7, 0.2]) if made != "numbers" else rng.normal(0.1, 1, 3000)
    error = differences.std() / np.sqrt(3000)
    low, high = bootstrap(differences)
    assert low == pytest.approx(differences.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(differences.mean() + 1.96 * error, abs=0.2 * error)
    assert bootstrap(differences) == (low, high)


def test_equal_evaluations_do_not_differ() -> None:
    found = paired(details(["a", "b"], [1, 0]), details(["a", "b"], [1, 0]))
    assert found is not None
    assert (found.mean, found.low, found.high, found.gained, found.lost) == (0, 0, 0, [], [])


def test_classes_side_by_side() -> None:
    tables = [
        [["class", "samples", "recall", "precision"], ["cat", "3", "0.5", "1"], ["dog", "0", "", ""]],
        [["class", "samples", "recall", "precision"], ["dog", "0", "", ""], ["cat", "3", "1.0", "1"]],
    ]
    assert per_class(tables) == ("recall", [("cat", "3", [0.5, 1.0]), ("dog", "0", [None, None])])
    assert per_class([[], tables[0]]) == ("", [])
