import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.store import FolderStore
from pipeline.store.artifact import Store
from pipeline.store.garbage import DAY_S, RUNNING_DAYS, collect, find_garbage
from pipeline.store.remote import RemoteStore
from pipeline.verbs.inventory import print_runs, show_garbage, show_store


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The same for both sorts of store."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    if request.param == "folder":
        yield FolderStore(tmp_path / "store")
        return
    remote = RemoteStore("memory://gc/runs")
    yield remote
    filesystem, path = remote.objects.filesystem()
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def make(store: Store, stage: str, fingerprint: str, inputs: dict[str, str] | None = None, size: int = 3) -> None:
    named = {name: {"fingerprint": mark, "digest": "d"} for name, mark in (inputs or {}).items()}
    manifest: dict[str, Any] = {"version": 1, "values": {}, "inputs": named, "code": {}, "facts": {}, "run": "r"}
    with store.work(stage, fingerprint) as work:
        (work.out / "x").write_text("x" * size)
        store.publish(work, manifest)


def record(store: Store, name: str, *fingerprints: str, status: str = "done") -> str:
    run = store.record_run(name, {}, {})
    for mark in fingerprints:
        run.update_stage(f"stage-{mark}", status="made", fingerprint=mark)
    if status != "running":
        run.end(status)
    return run.folder.name


def pin(store: Store, text: str) -> None:
    if isinstance(store, RemoteStore):
        store.objects.write("pins", text.encode())
    else:
        (store.home / "pins").write_text(text)


def going(store: Store, days: float, later_days: float = 0.0) -> set[str]:
    """Stage/fingerprint of what would go when `later_days` have passed."""
    garbage = find_garbage(store, days, time.time() + later_days * DAY_S)
    return {f"{holding.stage}/{holding.fingerprint}" for holding in garbage.remove}


def test_what_recent_runs_made_stays(store: Store) -> None:
    make(store, "shard", "a1")
    make(store, "train", "b1", {"shard": "a1"})
    make(store, "train", "b2", {"shard": "a1"})
    record(store, "mine", "a1", "b1")
    assert going(store, 30) == set()  # all is young
    assert going(store, 30, later_days=29) == set()
    assert going(store, 30, later_days=31) == {"shard/a1", "train/b1", "train/b2"}


def test_what_is_old_goes_unless_a_run_uses_it(store: Store) -> None:
    make(store, "shard", "a1")
    make(store, "train", "b1", {"shard": "a1"})
    make(store, "train", "b2", {"shard": "a1"})
    record(store, "mine", "b1")
    records, now_s = store.records(), time.time() + 31 * DAY_S
    if isinstance(store, FolderStore):
        young = store.root / "runs" / records[0].name / "run.json"
        os.utime(young, (now_s, now_s))
        garbage = find_garbage(store, 30, now_s)
        assert {holding.fingerprint for holding in garbage.remove} == {"b2"}
        reasons = {holding.fingerprint: reason for holding, reason in garbage.keep}
        assert reasons["b1"] == f"run {records[0].name}"
        assert reasons["a1"].startswith("input shard of one that is kept")


@pytest.mark.parametrize("pinned", ["b1 # the paper's model", "mine", "RUN"])
def test_pins(store: Store, pinned: str) -> None:
    make(store, "shard", "a1")
    make(store, "train", "b1", {"shard": "a1"})
    make(store, "train", "b2", {"shard": "a1"})
    name = record(store, "mine", "b1")
    pin(store, f"# kept for ever\n\n{pinned.replace('RUN', name)}\n")
    assert going(store, 30, later_days=1000) == {"train/b2"}


def test_a_run_that_says_running_counts_longer(store: Store) -> None:
    make(store, "shard", "a1")
    record(store, "mine", "a1", status="running")
    assert going(store, 1, later_days=RUNNING_DAYS - 1) == set()
    assert going(store, 1, later_days=RUNNING_DAYS + 1) == {"shard/a1"}


def test_collect_removes_that_and_no_more(store: Store) -> None:
    make(store, "shard", "a1", size=1000)
    make(store, "train", "b1", {"shard": "a1"})
    with store.work("train", "b3") as work:  # as if killed: it is not published
        (work.out / "part").write_text("p")
        store.parts(work).finish("p0", {}, {})
    pin(store, "a1")
    garbage = find_garbage(store, 30, time.time() + 40 * DAY_S)
    assert {(holding.kind, holding.fingerprint) for holding in garbage.remove} == {("artifact", "b1"), ("work", "b3")}
    collect(store, garbage)
    assert store.find("train", "b1") is None
    assert store.find("shard", "a1") is not None
    assert [(holding.kind, holding.fingerprint) for holding in store.holdings()] == [("artifact", "a1")]


def test_the_files_of_a_loser_are_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    store = RemoteStore("memory://left/runs")
    make(store, "shard", "a1")
    store.objects.write("artifacts/shard/a1/other/x", b"lost")
    store.objects.write("artifacts/shard/a9/other/x", b"never published")
    pin(store, "a1\na9")
    garbage = find_garbage(store, 30, time.time() + 40 * DAY_S)
    assert [(holding.kind, holding.bytes) for holding in garbage.remove] == [("left over", 4), ("left over", 15)]
    collect(store, garbage)
    found = store.find("shard", "a1")
    assert found
    assert found.file("x").read_text() == "xxx"
    assert len(store.objects.list("artifacts")) == 2


def test_work_that_somebody_is_at_stays(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with store.work("train", "b1") as work:
        (work.out / "x").write_text("x")
        assert going(store, 30, later_days=100) == set()


def test_what_is_shown(store: Store) -> None:
    make(store, "shard", "a" * 32, size=2000)
    make(store, "train", "b" * 32, {"shard": "a" * 32})
    name = record(store, "mine", "a" * 32)
    console = Console(width=160, record=True)
    show_store(console, store)
    text = console.export_text()
    assert name in text
    assert "shard aaaaaaaaaaaa" in text
    assert "1 run, " in text
    garbage = find_garbage(store, 0, time.time() + 100 * DAY_S)
    show_garbage(console, garbage, dry_run=True)
    text = console.export_text()
    assert "would be removed; --delete removes it" in text
    assert store.find("train", "b" * 32) is not None


def test_runs_with_their_scores_and_what_tells_them_apart(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for name, lr, kind, top1 in (
        ("mine", 0.1, "sgd", 0.971),
        ("mine", 0.02, "adamw", 0.342),
        ("other", 0.5, "sgd", 1.0),
    ):
        run = store.record_run(name, {}, {})
        made: dict[str, dict[str, Any]] = {
            "shard": {"values": {"seed": 0}, "facts": {}},
            "train": {"values": {"optimizer": {"lr": lr, "kind": kind}, "seed": 0}, "facts": {}},
            "evaluate": {
                "values": {"task": {"kind": "image-classification"}},
                "facts": {"loss": 1.0, "top1": top1, "split": "test" if name == "other" else "val"},
            },
        }
        for stage, told in made.items():
            mark = f"{stage[0]}{lr}".ljust(32, "0").replace(".", "f")
            with store.work(stage, mark) as work:
                store.publish(work, {"version": 1, "inputs": {}, "code": {}, **told})
            run.update_stage(stage, status="reused" if stage == "shard" else "made", fingerprint=mark)
        run.end("done")
    failed = store.record_run("mine", {}, {"train": {}, "evaluate": {}})
    failed.update_stage("train", status="failed")
    failed.end("failed")
    print_runs(store)
    listed: dict[Any, Any] = {
        line["metrics"].get("top1"): line for line in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert set(listed) == {0.971, 0.342, 1.0, None}
    assert listed[None]["status"] == "failed"
    assert listed[None]["stages"]["train"] == {"status": "failed", "fingerprint": None}
    assert listed[0.971]["name"] == "mine"
    assert listed[0.971]["metrics"] == {"loss": 1.0, "top1": 0.971}
    assert listed[0.971]["stages"]["shard"]["status"] == "reused"
    console = Console(width=200, record=True)
    show_store(console, store)
    head, *lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert head.split() == ["run", "status", "age", "score", "differs", "in", "stages"]
    names = {line.split()[0] for line in lines[:4]}
    assert len(names) == 4
    assert any("top-1 97.1% optimizer.kind=sgd, optimizer.lr=0.1" in line for line in lines[:4])
    assert any("top-1 34.2% optimizer.kind=adamw, optimizer.lr=0.02" in line for line in lines[:4])
    (other,) = [line for line in lines[:4] if line.startswith("other")]
    assert "top-1 100.0% on test" in other
    assert "optimizer" not in other  # the only run of its recipe
    assert other.endswith("made train, evaluate")
    (broken,) = [line for line in lines[:4] if "failed" in line]
    assert broken.endswith("failed train; not begun evaluate")


def test_an_empty_store(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "none")
    console = Console(width=160, record=True)
    show_store(console, store)
    assert "holds nothing" in console.export_text()
    assert find_garbage(store, 30).remove == ()


def test_the_verbs(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    make(store, "shard", "a" * 32, size=2000)
    kept = CliRunner().invoke(app, ["gc", str(tmp_path), "--days", "30", "--delete"])
    assert kept.exit_code == 0
    assert "Nothing to remove." in kept.output
    dry = CliRunner().invoke(app, ["gc", str(tmp_path), "--days", "0"])
    assert "would be removed; --delete removes it" in dry.output
    assert "aaaaaaaaaaaa" in CliRunner().invoke(app, ["ls", str(tmp_path)]).output
    gone = CliRunner().invoke(app, ["gc", str(tmp_path), "--days", "0", "--delete"])
    assert "is removed. 0 bytes in 0 artifacts" in gone.output
    assert "holds nothing" in CliRunner().invoke(app, ["ls", str(tmp_path)]).output


@pytest.mark.parametrize("verb", ["ls", "gc", "verify"])
def test_a_store_that_is_not_there(tmp_path: Path, verb: str) -> None:
    done = CliRunner().invoke(app, [verb, str(tmp_path / "nowhere")])
    assert done.exit_code == 1
    assert "nowhere does not exist. A store is the folder" in done.output
