import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.tracking.spool import POINTS_PER_BATCH, Point, Spool


def drain(spool: Spool, run_id: str) -> list[Point]:
    """All points that the run does not have yet; they are marked as sent."""
    everything: list[Point] = []
    while True:
        points, end = spool.batch(run_id)
        if not points:
            return everything
        assert len(points) <= POINTS_PER_BATCH
        spool.mark(run_id, end)
        everything += points


def test_points_come_back_once_and_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    assert spool.append(1, {"loss": 0.5, "lr": 0.1}, time_ms=7) == 2
    assert spool.append(2, {"loss": 0.4}, time_ms=8) == 1
    assert spool.unsent("run") == 3
    assert drain(spool, "run") == [Point("loss", 0.5, 1, 7), Point("lr", 0.1, 1, 7), Point("loss", 0.4, 2, 8)]
    assert spool.unsent("run") == 0
    assert drain(Spool(tmp_path / "spool"), "run") == []


def test_a_new_run_gets_the_whole_history(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(1, {"loss": 0.5}, 0)
    drain(spool, "old")
    assert spool.unsent("new") == 1
    assert len(drain(spool, "new")) == 1
    assert spool.unsent("old") == 0


def test_after_a_roll_back_known_steps_are_left_out_by_metric(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for step in range(10):
        spool.append(step, {"loss": float(step)}, 0)
    spool.append(4, {"val": 1.0}, 0)
    resumed = Spool(tmp_path)
    added = [resumed.append(step, {"loss": -1.0, "val": 2.0}, 1) for step in range(4, 12)]
    assert added == [0, 1, 1, 1, 1, 1, 2, 2]
    points = drain(resumed, "run")
    assert [point.step for point in points if point.key == "loss"] == list(range(12))
    assert [point.value for point in points if point.key == "loss"][:10] == [float(step) for step in range(10)]


def test_points_that_a_dead_actor_did_not_answer_come_in_any_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert [spool.append(step, {"loss": float(step)}, 0) for step in (6, 18, 12, 24, 12)] == [1, 1, 1, 1, 0]
    resumed = Spool(tmp_path)
    assert [resumed.append(step, {"loss": -1.0}, 0) for step in (10, 12, 6)] == [1, 0, 0]
    assert {(point.step, point.value) for point in drain(resumed, "run")} == {
        (6, 6.0), (18, 18.0), (12, 12.0), (24, 24.0), (10, -1.0)
    }  # fmt: skip


def test_what_another_maker_measures_at_the_same_steps_is_new(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    added = [spool.append(0, {"top1": value}, 0, maker) for value, maker in ((0.5, "a"), (0.6, "b"), (0.5, "a"))]
    assert added == [1, 1, 0]
    assert Spool(tmp_path).append(0, {"top1": 0.6}, 0, "b") == 0
    assert [point.value for point in drain(spool, "run")] == [0.5, 0.6]


def test_more_metrics_than_a_request_takes(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(1, {f"class/{i}": float(i) for i in range(2300)}, 0)
    assert [point.value for point in drain(spool, "run")] == [float(i) for i in range(2300)]


def test_nan_and_infinity_survive(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(0, {"a": math.nan, "b": math.inf, "c": -math.inf}, 0)
    a, b, c = drain(Spool(tmp_path), "run")
    assert math.isnan(a.value)
    assert (b.value, c.value) == (math.inf, -math.inf)


@example(kept=76, rows=1)  # the line end alone is torn off
@given(kept=st.integers(0, 400), rows=st.integers(1, 5))
def test_a_file_cut_anywhere_loses_the_torn_line_alone(
    tmp_path_factory: pytest.TempPathFactory, kept: int, rows: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    for step in range(rows):
        spool.append(step, {"loss": step / 2}, 1700000000000)
    data = (folder / "points.jsonl").read_bytes()[:kept]
    (folder / "points.jsonl").write_bytes(data)
    whole = data.count(b"}}")  # a line that lacks its end alone is whole

    after = Spool(folder)
    assert after.unsent("run") == whole
    for step in range(rows + 1):  # training resumes from the start
        after.append(step, {"loss": 9.0}, 0)
    points = drain(after, "run")
    assert [point.step for point in points] == list(range(rows + 1))
    assert [point.value for point in points] == [step / 2 if step < whole else 9.0 for step in range(rows + 1)]


@pytest.mark.parametrize("mark", ["", "[1]", '{"run": 10000000}', '{"run": "x"}'])
def test_a_broken_mark_sends_again_rather_than_never(tmp_path: Path, mark: str) -> None:
    spool = Spool(tmp_path)
    spool.append(0, {"loss": 1.0}, 0)
    (tmp_path / "shipped.json").write_text(mark)
    assert len(drain(spool, "run")) == 1


def test_foreign_lines_are_skipped(tmp_path: Path) -> None:
    rows = [b"\xff\xfe", b"[]", b'{"step": 1}', b'{"step": 1, "time_ms": 2, "metrics": 3}', b"", b"null"]
    good = json.dumps({"step": 1, "time_ms": 2, "metrics": {"loss": 3}}).encode()
    (tmp_path / "points.jsonl").write_bytes(b"\n".join([*rows, good, b""]))
    assert drain(Spool(tmp_path), "run") == [Point("loss", 3.0, 1, 2)]
