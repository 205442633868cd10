import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.graph.execute import StageResult, execute
from pipeline.graph.plan import Graph, Plan, Stage, plan, planned_stages
from pipeline.graph.progress import Progress
from pipeline.store import FolderStore
from tests.conftest import ROOT
from tests.processes import left_of


def stage(name: str, *keys: str, inputs: tuple[str, ...] = (), **options: Any) -> Stage:
    return Stage(name, 1, f"tests.pipeline.graph.graph_stages:{name}", keys, inputs, **options)


TENS, DOUBLE = stage("tens", "n"), stage("double", inputs=("tens",))


class Bench:
    """A store, a folder for marks, and what the user was shown."""

    def __init__(self, folder: Path) -> None:
        self.store = FolderStore(folder / "store")
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.shown = ""

    def plan(self, graph: Graph, values: dict[str, Any], rerun: tuple[str, ...] = ()) -> Plan:
        return plan(graph, {"name": "test", **values}, self.store, rerun)

    def run(self, graph: Graph, values: dict[str, Any], rerun: tuple[str, ...] = ()) -> list[StageResult]:
        text = io.StringIO()
        planned = self.plan(graph, values, rerun)
        record = self.store.record_run("test", values, planned_stages(planned.steps))
        try:
            with Progress(Console(file=text, width=300)) as progress:
                return execute(planned, values, self.store, self.marks, progress, record)
        finally:
            self.shown = text.getvalue()

    def record(self) -> dict[str, Any]:
        newest = max((self.store.root / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
        record: dict[str, Any] = json.loads((newest / "run.json").read_text())
        return record

    def published(self) -> list[str]:
        return sorted(path.parent.parent.name for path in self.store.root.glob("artifacts/*/*/manifest.json"))


@pytest.fixture
def bench(ray_of_two: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("pipeline.graph.execute.RETRY_S", 0.1)
    return Bench(tmp_path)


def actions(results: list[StageResult]) -> list[tuple[str, str]]:
    return [(result.stage, result.action) for result in results]


def test_what_a_try_held_is_free_for_the_next(bench: Bench) -> None:
    assert actions(bench.run(Graph([stage("greedy")]), {})) == [("greedy", "made")]
    assert "greedy: its worker process died" in bench.shown


def test_a_stage_without_progress_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.graph.execute.QUIET_S", 0.5)
    bench.run(Graph([stage("quiet")]), {})
    assert "quiet: no progress for " in bench.shown


def test_makes_reuses_and_cuts_off_early(bench: Bench) -> None:
    graph = Graph([TENS, DOUBLE])
    results = bench.run(graph, {"n": 10})
    assert actions(results) == [("tens", "made"), ("double", "made")]
    assert "tens: 2/2 (100 %)" in bench.shown
    double = results[1].artifact
    assert double.facts == {"value": 2}
    assert double.manifest["inputs"]["tens"]["digest"] == results[0].artifact.digest
    assert double.manifest["duration_s"] >= 0
    record = bench.record()
    assert (record["status"], record["stages"]["double"]["status"]) == ("done", "made")

    assert actions(bench.run(graph, {"n": 10})) == [("tens", "reused"), ("double", "reused")]

    assert bench.plan(graph, {"n": 11}).steps[1].reasons == ("input tens will be made anew",)
    results = bench.run(graph, {"n": 11})
    assert actions(results) == [("tens", "made"), ("double", "reused")]
    assert results[1].note == "reused after all: its inputs came out the same"
    assert "double: reused after all: its inputs came out the same" in bench.shown


def test_rerun_replaces(bench: Bench) -> None:
    graph = Graph([TENS, DOUBLE])
    old = bench.run(graph, {"n": 10})[0].artifact
    inode = old.path.stat().st_ino
    results = bench.run(graph, {"n": 10}, rerun=("tens",))
    assert actions(results) == [("tens", "made"), ("double", "reused")]
    assert results[0].artifact.path == old.path
    assert old.path.stat().st_ino != inode
    assert list(bench.store.root.glob("work/*/*")) == []


def test_a_killed_worker_is_tried_again_in_the_same_folder(bench: Bench) -> None:
    artifact = bench.run(Graph([stage("parts", "deaths")]), {"deaths": 1})[0].artifact
    assert "parts: its worker process died" in bench.shown
    assert "try 2 of 2" in bench.shown
    first, second = ((artifact.path / f"{number}.txt").read_text() for number in range(2))
    assert first != second  # the first process's part was kept


def test_a_worker_that_dies_each_time_fails_and_publishes_nothing(bench: Bench) -> None:
    with pytest.raises(
        ZoetropeError, match=r"stage parts failed: its worker process died .*\(traceback: .*parts\.log\)"
    ):
        bench.run(Graph([stage("parts", "deaths")]), {"deaths": 2})
    assert bench.published() == []
    assert sorted(path.name for path in bench.store.root.glob("work/parts/*/out/*")) == ["0.txt", "1.txt"]
    assert bench.record()["status"] == "failed"


def test_a_failed_stage_does_not_stop_its_sibling(bench: Bench) -> None:
    with pytest.raises(ZoetropeError) as raised:
        bench.run(Graph([stage("bug"), stage("sibling"), stage("double", inputs=("sibling",))]), {})
    assert str(raised.value).startswith("stage bug failed: ValueError: no such thing (traceback: ")
    log = Path(str(raised.value).removesuffix(")").rpartition("traceback: ")[2])
    assert "in bug" in log.read_text()
    assert bench.published() == ["sibling"]
    stages = bench.record()["stages"]
    assert [stages[name].get("status") for name in ("bug", "sibling", "double")] == ["failed", "made", None]


def test_a_users_error_arrives_as_it_was_raised(bench: Bench) -> None:
    with pytest.raises(ZoetropeError) as raised:
        bench.run(Graph([stage("refuse")]), {})
    assert type(raised.value).__name__ == "Refused"
    assert str(raised.value) == "the folder is empty: put files there"


def test_a_store_that_fills_up_under_a_stage_is_said(bench: Bench) -> None:
    with pytest.raises(ZoetropeError, match=r"cannot write to the store .*: no space is left on it"):
        bench.run(Graph([stage("full")]), {})


def test_more_cpus_than_there_are_is_refused(bench: Bench) -> None:
    with pytest.raises(ZoetropeError, match="stage tens needs 3 CPUs and Ray has 2"):
        bench.run(Graph([stage("tens", "n", num_cpus=3)]), {"n": 1})


def test_work_that_other_code_began_is_said(bench: Bench) -> None:
    graph = Graph([stage("parts", "deaths", retries=0)])
    with pytest.raises(ZoetropeError):
        bench.run(graph, {"deaths": 1})
    next(bench.store.root.glob("work/parts/*/code.json")).write_text('{"pipeline/x.py": "other"}')
    bench.run(graph, {"deaths": 1})
    assert "goes on with what was left by an attempt with other code (--rerun parts starts over)" in bench.shown


def read_pids(marks: Path) -> list[int]:
    return [int(pid) for pid in (marks / "pids").read_text().split()]


def lock_is_free(store: FolderStore) -> bool:
    """Waits for it as a run does: on a busy machine the system lets go of it a moment after the process has ended."""
    fingerprint = next(store.root.glob("work/hang/*/out")).parent.name
    with store.work("hang", fingerprint, print) as work:
        return (work.out / "part").exists()


def test_a_failed_stage_takes_its_children_with_it(bench: Bench) -> None:
    with pytest.raises(ZoetropeError, match="no"):
        bench.run(Graph([stage("hang", "fail")]), {"fail": True})
    assert left_of(read_pids(bench.marks)) == []


def press_ctrl_c_once_it_runs(bench: Bench) -> None:
    def press() -> None:
        while not (bench.marks / "pids").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


def test_ctrl_c_kills_a_stage_that_does_not_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.graph.execute.CANCEL_S", 1.0)
    press_ctrl_c_once_it_runs(bench)
    with pytest.raises(KeyboardInterrupt):
        bench.run(Graph([stage("stubborn")]), {})
    assert left_of(read_pids(bench.marks)) == []
    assert bench.published() == []


def test_ctrl_c_ends_the_stage_and_its_children(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.graph.execute.CANCEL_S", 200.0)
    press_ctrl_c_once_it_runs(bench)
    with pytest.raises(KeyboardInterrupt):
        bench.run(Graph([stage("hang")]), {})
    assert (bench.marks / "cleaned").exists()  # the stage's own code had its chance
    assert left_of(read_pids(bench.marks)) == []
    assert bench.published() == []
    assert lock_is_free(bench.store)
    record = bench.record()
    assert (record["status"], record["stages"]["hang"]["status"]) == ("interrupted", "interrupted")


DRIVER = """
import sys
from pathlib import Path
import ray
from pipeline.graph.execute import execute
from pipeline.graph.plan import Graph, Stage, plan, planned_stages
from pipeline.graph.progress import Progress
from pipeline.store import FolderStore
store = FolderStore(Path(sys.argv[1]))
ray.init(num_cpus=2, include_dashboard=False)
planned = plan(Graph([Stage("hang", 1, "tests.pipeline.graph.graph_stages:hang", ())]), {}, store)
with Progress() as progress:
    execute(planned, {}, store, Path(sys.argv[2]), progress, store.record_run("x", {}, planned_stages(planned.steps)))
"""


@pytest.mark.slow
def test_a_killed_driver_leaves_no_artifact_no_lock_and_no_process(tmp_path: Path) -> None:
    store, marks = FolderStore(tmp_path / "store"), tmp_path / "marks"
    marks.mkdir()
    command = [sys.executable, "-c", DRIVER, str(store.root), str(marks)]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    with open(tmp_path / "log", "w") as log:
        driver = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    while not (marks / "pids").exists():
        assert driver.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.1)
    driver.kill()
    driver.wait()
    assert left_of(read_pids(marks)) == []
    assert list(store.root.glob("artifacts/*/*")) == []
    assert lock_is_free(store)
