from pathlib import Path

import pytest

from augment.policy import Policy
from tune.policy.propose import Candidate, best, read_log, search, write_log
from tune.policy.space import Space

SPACE = Space(1, 1)


def likes_strong_rotation(policy: Policy) -> tuple[float, float]:
    """Top-1 and loss of a problem whose answer is known."""
    ((name, probability, magnitude),) = policy[0]
    return (probability * (magnitude or 0) / 9 if name == "Rotate" else 0.0), 1.0


def test_it_finds_what_is_best() -> None:
    found = list(search(SPACE, likes_strong_rotation, 150, ("known",)))
    top = best(found, 1)[0]
    assert SPACE.decode(top.vector)[0][0][0] == "Rotate"
    random = max(likes_strong_rotation(SPACE.random(i))[0] for i in range(150))
    assert top.top1 > max(random, 0.7)


def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = list(search(SPACE, likes_strong_rotation, 30, (1, "resume")))
    write_log(tmp_path / "log", whole[:17])
    scored: list[Policy] = []

    def count(policy: Policy) -> tuple[float, float]:
        scored.append(policy)
        return likes_strong_rotation(policy)

    assert list(search(SPACE, count, 30, (1, "resume"), read_log(tmp_path / "log"))) == whole
    assert len(scored) == 13
    assert list(search(SPACE, count, 5, (2, "resume"), whole)) != whole[:5], "what another key has found is not taken"


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read_log(tmp_path / "log") == []


@pytest.mark.parametrize(("count", "expected"), [(1, [2]), (3, [2, 1, 3]), (9, [2, 1, 3, 0])])
def test_best(count: int, expected: list[int]) -> None:
    scores = [(0.1, 0.0), (0.5, 2.0), (0.5, 1.0), (0.5, 2.0)]
    candidates = [Candidate(i, {}, *score) for i, score in enumerate(scores)]
    assert [one.number for one in best(candidates, count)] == expected
