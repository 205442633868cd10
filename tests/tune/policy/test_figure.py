from pathlib import Path

import pytest

from augment.magnitudes import MAGNITUDES
from augment.policy import Policy
from tune.policy.figure import grid_of_scores, operations_and_magnitudes, schedule_over_epochs, shares
from tune.policy.space import Space


def test_shares() -> None:
    policy: Policy = [[("Rotate", 0.5, 3.0), ("Rotate", 0.25, 9.0)], [("Invert", 1.0, None), ("Color", 0.0, 1.0)]]
    found = {name: share for name, share in shares(policy).items() if share}
    assert found == {"Rotate": pytest.approx(0.375), "Invert": 0.5}
    assert list(shares(policy)) == list(MAGNITUDES)


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    operations_and_magnitudes(Space(30, 2).random("figure"), tmp_path / "policy.png", "a test")
    operations_and_magnitudes([[("Invert", 1.0, None)]], tmp_path / "one.png", "no magnitude at all")
    assert (tmp_path / "policy.png").read_bytes()[:4] == (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"


def test_the_other_figures_are_drawn(tmp_path: Path) -> None:
    scores = {(1, 5.0): 0.5, (1, 9.0): float("nan"), (2, 5.0): 0.75}
    grid_of_scores(scores, (2, 5.0), tmp_path / "grid.png", "a grid")
    schedule_over_epochs([(0.0, [("Invert", 0.0, None)]), (3.0, [("Rotate", 0.5, 9)])], tmp_path / "pba.png", "pba")
    assert (tmp_path / "grid.png").read_bytes()[:4] == (tmp_path / "pba.png").read_bytes()[:4] == b"\x89PNG"
