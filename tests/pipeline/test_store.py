import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.store import FolderStore, open_store
from tests.pipeline.store.publishing import MANIFEST, SHA_OF_ABC, publish

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def test_publish_and_find(store: FolderStore) -> None:
    assert store.find("shard", "f1") is None
    artifact = publish(store)
    assert artifact == store.find("shard", "f1")
    assert artifact.path == store.root / "artifacts/shard/f1"
    assert artifact.manifest["files"] == [{"path": "a/x.txt", "bytes": 3, "sha256": SHA_OF_ABC}]
    assert artifact.facts == {"n": 3}
    assert (artifact.stage, artifact.fingerprint) == ("shard", "f1")
    assert sorted(path.name for path in artifact.path.iterdir()) == ["a", "manifest.json"]
    assert list((store.root / "work/shard").iterdir()) == []  # neither scratch nor the lock is left


def test_known_sha256_is_taken_as_it_is(store: FolderStore) -> None:
    assert publish(store, sha256s={"a/x.txt": "known"}).manifest["files"][0]["sha256"] == "known"


def test_digest_is_of_what_came_out(store: FolderStore) -> None:
    assert publish(store, "f1").digest == publish(store, "f2").digest
    assert publish(store, "f3", "abd").digest != publish(store, "f1").digest


def test_unpublished_work_stays_for_the_next_attempt(store: FolderStore) -> None:
    with suppress(ValueError), store.work("shard", "f1") as work:
        (work.out / "part").write_text("done")
        raise ValueError("boom")
    assert store.find("shard", "f1") is None
    with store.work("shard", "f1") as work:
        assert (work.out / "part").read_text() == "done"
    with store.work("shard", "f1", fresh=True) as work:
        assert list(work.out.iterdir()) == []
    assert list((store.root / "work/shard").iterdir()) == []  # nothing was left to go on with


def test_parts_where_the_store_is_not_seen(store: FolderStore) -> None:
    """A disk of its own on another node: what is made there would be lost."""
    with store.work("shard", "f" * 32) as work:
        parts = store.parts(work)
        work.scratch.rmdir()
        with pytest.raises(ZoetropeError, match="does not see"):
            parts.finished("p0")


def test_parts_are_found_again(store: FolderStore) -> None:
    with store.work("shard", "f1") as work:
        parts = store.parts(work)
        assert parts.finished("p0") is None
        (work.out / "train").mkdir()
        (work.out / "train/p0").write_text("abc")
        parts.finish("p0", {"train/p0": SHA_OF_ABC}, {"bad": []})
        parts.finish("p1", {}, {})
    with store.work("shard", "f1") as work:
        assert store.parts(work).finished("p0") == {"bad": []}
        assert store.parts(work).finished("p1") == {}
        os.truncate(work.out / "train/p0", 2)
        assert store.parts(work).finished("p0") is None
        (work.out / "train/p0").unlink()
        assert store.parts(work).finished("p0") is None


def test_a_torn_manifest_of_a_dead_attempt_is_not_published(store: FolderStore) -> None:
    folder = store.root / "work/shard/f1/out"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"schema"')
    assert store.find("shard", "f1") is None
    assert publish(store).manifest["schema"] == 1


@pytest.mark.parametrize("harm", ["remove", "resize"])
def test_a_hit_is_verified(store: FolderStore, harm: str) -> None:
    path = publish(store).path / "a/x.txt"
    path.unlink() if harm == "remove" else path.write_text("abcd")
    assert store.find("shard", "f1") is None
    assert store.damage("shard", "f1") == ["a/x.txt"]
    publish(store)  # a damaged one is replaced
    assert store.damage("shard", "f1") == []
    assert store.find("shard", "f1") is not None


def test_a_broken_manifest_is_damage(store: FolderStore) -> None:
    (publish(store).path / "manifest.json").write_text("{")
    assert store.find("shard", "f1") is None
    assert store.damage("shard", "f1") == ["manifest.json"]
    assert store.artifacts("shard") == []


def test_what_is_there_wins_unless_replaced(store: FolderStore) -> None:
    publish(store, text="abc")
    assert (publish(store, text="late").path / "a/x.txt").read_text() == "abc"
    assert (publish(store, text="anew", replace=True).path / "a/x.txt").read_text() == "anew"
    assert list((store.root / "work/shard").iterdir()) == []
    assert [path.name for path in (store.root / "artifacts/shard").iterdir()] == ["f1"]


def test_artifacts_newest_first(store: FolderStore) -> None:
    assert store.artifacts("shard") == []
    for number, created in enumerate(["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z"]):
        with store.work("shard", f"f{number}") as work:
            store.publish(work, {**MANIFEST, "created": created})
    assert [manifest["fingerprint"] for manifest in store.artifacts("shard")] == ["f1", "f0", "f2"]


RACER = """
import sys, time
from pathlib import Path
from pipeline.store import FolderStore
store, here = FolderStore(Path(sys.argv[1])), Path(sys.argv[2])
with store.work("shard", "f1", on_wait=lambda text: (here / "waits").write_text(text)) as work:
    if store.find("shard", "f1"):
        print("found")
    else:
        (here / "first").touch()
        while not (here / "waits").exists():
            time.sleep(0.01)
        (work.out / "x").write_text("x")
        store.publish(work, {"version": 1, "values": {}, "inputs": {}, "outside": None, "code": {}, "facts": {}})
        print("made")
"""


def start(store: FolderStore, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RACER, str(store.root), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None


def test_of_two_processes_one_makes_and_one_waits_and_finds(store: FolderStore, tmp_path: Path) -> None:
    pair = [start(store, tmp_path), start(store, tmp_path)]
    said = sorted(process.communicate(timeout=300)[0].strip() for process in pair)
    assert said == ["found", "made"]
    text = (tmp_path / "waits").read_text()
    assert text.startswith("shard: waits for process ")
    assert text.endswith(", which is making it")
    assert list((store.root / "work/shard").iterdir()) == []


def test_kill_9_releases_the_lock_and_keeps_the_work(store: FolderStore, tmp_path: Path) -> None:
    process = start(store, tmp_path)
    wait_for(tmp_path / "first", process)
    process.kill()
    process.communicate(timeout=300)
    waits: list[str] = []
    with store.work("shard", "f1", waits.append) as work:
        assert work.out.is_dir()
    assert waits == []


def test_urls_of_folders(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}").home == tmp_path
    assert open_store(str(tmp_path)).home == tmp_path


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ZoetropeError, match="is a file, and must be a folder"):
        FolderStore(tmp_path / "file")


def test_a_file_in_the_way(store: FolderStore) -> None:
    store.root.mkdir()
    (store.root / "work").touch()
    with (
        pytest.raises(ZoetropeError, match=r"cannot write to the store .*work.*: a file is in the way"),
        store.work("shard", "f1"),
    ):
        pass
    (store.root / "runs").touch()
    with pytest.raises(ZoetropeError, match="a file is in the way"):
        store.record_run("x", {}, {})


def test_a_place_that_takes_no_folders() -> None:
    with pytest.raises(
        ZoetropeError, match=r"cannot write to the store /proc/nope: no folder can be made there; choose"
    ):
        FolderStore(Path("/proc/nope")).record_run("x", {}, {})


@pytest.fixture
def nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that is read-only for everyone; not below tmp_path, which only its owner may enter at all."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        yield Path(folder)


@pytest.mark.usefixtures("nobody")
def test_no_permission(closed: Path) -> None:
    with (
        pytest.raises(ZoetropeError, match=r"cannot write to the store .*: there is no permission"),
        FolderStore(closed / "store").work("shard", "f1"),
    ):
        pass


def test_a_full_store(tiny_disk: Path) -> None:
    store = FolderStore(tiny_disk)
    with store.work("shard", "f1") as work:
        with suppress(OSError), open(work.out / "x", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(ZoetropeError, match=r"cannot write to the store .*: no space is left on it"):
            store.publish(work, MANIFEST)
    assert store.find("shard", "f1") is None
    assert not (tiny_disk / "artifacts/shard/f1").exists()


def test_record_run(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "tracking.uri=http://me:pw@host"])
    planned = {"action": "run", "fingerprint": "f1", "reasons": ["first run"]}
    run = store.record_run("my run/1", {"lr": 0.1, "uri": "http://me:pw@host"}, {"shard": planned})
    assert run.folder.parent == store.root / "runs"
    assert run.folder.name.startswith("my-run-1-20")
    assert (run.folder / "recipe.yaml").read_text() == "lr: 0.1\nuri: http://me:***@host\n"
    record = json.loads((run.folder / "run.json").read_text())
    assert (record["status"], record["ended"]) == ("running", None)
    assert record["stages"] == {"shard": planned}
    assert record["argv"] == ["run", "tracking.uri=http://me:***@host"]
    run.update_stage("shard", status="made", duration_s=1.5)
    run.end("done")
    record = json.loads((run.folder / "run.json").read_text())
    assert record["stages"] == {"shard": {**planned, "status": "made", "duration_s": 1.5}}
    assert record["status"] == "done"
    assert record["ended"] >= record["started"]
    assert store.record_run("my run/1", {}, {}).folder != run.folder


def statuses(store: FolderStore) -> dict[str, str]:
    return {record.content["name"]: record.content["status"] for record in store.records()}


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.store.folder_store import FolderStore
run = FolderStore(Path(sys.argv[1])).record_run("killed", {}, {})
run.update_stage("ingest", status="made")
run.update_stage("train", status="running")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_whoever_comes_next_closes_the_record_of_a_killed_driver(store: FolderStore) -> None:
    own = store.record_run("own", {}, {})
    process = subprocess.run([sys.executable, "-c", KILLED, str(store.root)], cwd=ROOT)
    assert process.returncode == -signal.SIGKILL
    assert statuses(store) == {"own": "running", "killed": "running"}
    store.close_abandoned()
    assert statuses(store) == {"own": "running", "killed": "interrupted"}
    (killed,) = (record.content for record in store.records() if record.content["name"] == "killed")
    assert {name: stage["status"] for name, stage in killed["stages"].items()} == {
        "ingest": "made",
        "train": "interrupted",
    }
    assert killed["ended"] >= killed["started"]
    own.end("done")
    store.close_abandoned()
    assert statuses(store)["own"] == "done"


@pytest.mark.parametrize(("host", "status"), [(socket.gethostname(), "interrupted"), ("elsewhere", "running")])
def test_records_of_earlier_code_have_no_lock(store: FolderStore, host: str, status: str) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder = store.root / "runs" / "old"
    folder.mkdir(parents=True)
    record = {"name": "old", "status": "running", "host": host, "pid": gone.pid, "stages": {}}
    (folder / "run.json").write_text(json.dumps(record))
    (store.root / "runs" / "torn").mkdir()
    (store.root / "runs" / "torn" / "run.json").write_text('{"status": "runn')
    store.close_abandoned()
    assert statuses(store) == {"old": status}
