"""Runs on moving cameras: which there are, and what is made of their figures."""

from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks.motion import RUNS, SHIFTED, SIDE_PX, Row, curves, draw, main, table
from pipeline.recipe import load

ROOT = Path(__file__).parents[2]
EMPTY = Row(0.125, 0, 0, 1.0, 1.0, 1.0)


def test_recipes_are_of_one_size_and_shift_what_runs_are_named_after() -> None:
    for recipe, changes in RUNS.values():
        values = load(ROOT / "recipes" / f"{recipe}.yaml", changes)
        assert values.augment.eval == [{"CenterCrop": {"height": SIDE_PX, "width": SIDE_PX}}]
    models = {
        name: load(ROOT / "recipes" / f"{recipe}.yaml", changes).model for name, (recipe, changes) in RUNS.items()
    }
    shifts = {name: (model.shift, model.place) for name, model in models.items() if hasattr(model, "shift")}
    assert shifts == {
        "tsm-16": (16, "blockres"),
        "tsm": (8, "blockres"),
        "tsm-4": (4, "blockres"),
        "tsm-2": (2, "blockres"),
        "tsm-in-place-16": (16, "block"),
        "tsm-in-place": (8, "block"),
        "tsm-in-place-4": (4, "block"),
        "tsm-in-place-2": (2, "block"),
    }
    assert shifts.keys() | {"tsn"} == SHIFTED


def test_table_has_the_best_first_and_the_gain_over_tsn() -> None:
    rows = {"tsn": Row(0.15, 703_128, 133_000_000, 120.0, 0.0105, 300.0), "tsm": EMPTY._replace(top1=0.8)}
    head, first, second, last = table(rows)
    assert head.split() == ["top-1", "parameters", "GMACs", "clips/s", "latency", "ms", "train", "s"]
    assert first.split()[:2] == ["tsm", "80.0%"]
    assert second.split() == ["tsn", "15.0%", "703,128", "0.133", "120.0", "10.5", "300"]
    assert last == "TSM over TSN: +65.0 points; wanted are +20"
    assert len(table({"tsm": EMPTY})) == 2


def test_curves_begin_at_tsn_and_end_where_all_channels_move(tmp_path: Path) -> None:
    rows = {name: EMPTY._replace(parameters=number) for number, name in enumerate(sorted(SHIFTED))}
    found = curves(rows)
    assert found.keys() == {"residual", "in place"}
    for line in found.values():
        assert [share for share, _ in line] == [0, Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), 1]
        assert line[0][1] == rows["tsn"]
    assert found["in place"][-1][1] == rows["tsm-in-place-2"]
    draw(found, tmp_path / "figure.svg")
    words = (tmp_path / "figure.svg").read_text()
    assert all(f">{word}<" in words for word in ("residual", "in place", "1/8", "top-1 (%)"))


def test_a_name_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(SystemExit, match="slowfast"):
        main("folder", "store", "slowfst")
