import json
import os
from pathlib import Path

import pytest

from pipeline.tracking.outbox import Outbox, read_run


def test_facts_of_the_run_stay_until_they_are_told_anew(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "key")
    assert outbox.run() == {}
    outbox.update(name="first", status="RUNNING")
    outbox.update(status="FINISHED", run_id="3f2a")
    assert Outbox(tmp_path / "key").run() == {"name": "first", "status": "FINISHED", "run_id": "3f2a"}
    assert outbox.status_to_send() == "FINISHED"
    outbox.update(status_sent="FINISHED")
    assert outbox.status_to_send() is None


@pytest.mark.parametrize("content", ["", "[1]", '{"torn": ', "\xff"])
def test_a_broken_record_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    assert read_run(tmp_path) == {}


def test_calls_come_in_order_with_their_files_and_go(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A")
    outbox = Outbox(tmp_path / "key")
    outbox.keep("dataset", {"digest": "d"}, {})
    outbox.keep("files", {}, {"x/y.txt": tmp_path / "a", "z.txt": tmp_path / "a"})
    (tmp_path / "a").unlink()
    first, second = Outbox(tmp_path / "key").calls()
    assert outbox.left() == (0, 2)
    with outbox.take(first) as content:
        assert content == {"kind": "dataset", "facts": {"digest": "d"}}
        with Outbox(tmp_path / "key").take(first) as nothing:  # somebody else sends it
            assert nothing is None
        outbox.drop(first)
    with outbox.take(first) as nothing:
        assert nothing is None
    assert [(second / "files" / name).read_text() for name in ("x/y.txt", "z.txt")] == ["A", "A"]
    assert outbox.calls() == [second]


def test_a_call_that_was_not_wholly_kept_or_not_wholly_removed_is_none(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    with pytest.raises(FileNotFoundError):
        outbox.keep("files", {}, {"a.txt": tmp_path / "nowhere"})
    assert outbox.calls() == []
    outbox.keep("files", {}, {})
    (call,) = outbox.calls()
    (call / "call.json").unlink()
    with outbox.take(call) as nothing:
        assert nothing is None
    assert outbox.calls() == []


def test_who_removes_it_has_it_alone_and_who_comes_then_finds_a_new_one(tmp_path: Path) -> None:
    first, second = Outbox(tmp_path / "key"), Outbox(tmp_path / "key")
    first.update(name="run")
    assert not first.is_alone()
    first.remove()
    assert second.is_alone()
    assert second.run() == {"name": "run"}
    second.remove()
    assert list(tmp_path.iterdir()) == []
    third = Outbox(tmp_path / "key")
    assert third.run() == {}
    third.close()


def test_points_know_when_they_were_last_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.points.append(1, {"loss": 1.0}, 0)
    os.utime(tmp_path / "points.jsonl", (1e9, 1e9))
    assert outbox.changed_s() == 1e9
    assert json.loads((tmp_path / "points.jsonl").read_text())["step"] == 1
