import json
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.store import Artifact, StoreError, lease, open_store
from pipeline.store.objects import Objects
from pipeline.store.remote import RemoteStore
from tests.pipeline.store.s3_server import BUCKET, KEY, SECRET, Server, first

MANIFEST: dict[str, Any] = {"version": 1, "values": {}, "inputs": {}, "outside": None, "code": {}, "facts": {"n": 3}}
SHA_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
URL = f"s3://{BUCKET}/runs"


@pytest.fixture
def store(s3: Server) -> RemoteStore:
    return RemoteStore(URL)


def publish(store: RemoteStore, fingerprint: str = "f1", text: str = "abc", **options: Any) -> Artifact:
    with store.work("shard", fingerprint) as work:
        (work.out / "a").mkdir(exist_ok=True)
        (work.out / "a/x.txt").write_text(text)
        (work.scratch / "part").write_text("p")
        return store.publish(work, MANIFEST, **options)


def on_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is fetched or worked on goes to an empty cache from now on."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "other-cache"))


def keys(folder: str = "") -> list[str]:
    return sorted(Objects(f"s3://{BUCKET}").list(f"runs/{folder}".rstrip("/")))


def test_publish_and_find(store: RemoteStore) -> None:
    assert store.find("shard", "f1") is None
    assert store.damage("shard", "f1") == []
    artifact = publish(store)
    assert artifact == store.find("shard", "f1")
    (row,) = artifact.manifest["files"]
    assert (row["path"], row["bytes"], row["sha256"]) == ("a/x.txt", 3, SHA_OF_ABC)
    assert keys() == ["artifacts/shard/f1.json", row["at"]]  # no work, no lease
    assert artifact.url == f"{URL}/artifacts/shard/f1"
    assert artifact.facts == {"n": 3}
    assert [m["fingerprint"] for m in store.artifacts("shard")] == ["f1"]
    assert list((store.home / "work/shard").iterdir()) == []


def test_where_it_was_made_nothing_is_fetched(store: RemoteStore, s3: Server) -> None:
    artifact = publish(store)
    s3.seen.clear()
    assert artifact.file("a/x.txt").read_text() == "abc"
    assert s3.seen == []


def test_another_machine_fetches_once_and_checks(
    store: RemoteStore, s3: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = pickle.loads(pickle.dumps(publish(store).files))  # noqa: S301  as Ray hands it to a task
    on_another_machine(monkeypatch, tmp_path)
    path = files.file("a/x.txt")
    assert path.read_text() == "abc"
    assert path.is_relative_to(tmp_path / "other-cache")
    s3.seen.clear()
    assert files.file("a/x.txt") == path
    files.fetch(["a/x.txt"])
    assert s3.seen == []
    assert list((tmp_path / "other-cache").rglob("*.part")) == []


def test_changed_bytes_in_the_store_are_found(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    artifact = publish(store)
    store.objects.write(artifact.manifest["files"][0]["at"], b"abd")
    on_another_machine(monkeypatch, tmp_path)
    with pytest.raises(StoreError, match=r"a/x.txt is not what it was when it was stored: its sha256 differs"):
        artifact.file("a/x.txt")
    assert not artifact.files.path.exists()


def test_a_hit_is_verified(store: RemoteStore) -> None:
    at = publish(store).manifest["files"][0]["at"]
    store.objects.write(at, b"abcd")
    assert store.find("shard", "f1") is None
    assert store.damage("shard", "f1") == ["a/x.txt"]
    publish(store)  # a damaged one is replaced
    assert store.find("shard", "f1") is not None
    store.objects.remove([at])
    assert store.find("shard", "f1") is not None
    store.objects.write("artifacts/shard/f1.json", b"{")
    assert store.damage("shard", "f1") == ["artifacts/shard/f1.json"]


def test_what_is_there_wins_unless_replaced(store: RemoteStore) -> None:
    publish(store, text="abc")
    assert publish(store, text="late").file("a/x.txt").read_text() == "abc"
    assert publish(store, text="anew", replace=True).file("a/x.txt").read_text() == "anew"


def test_of_two_that_publish_at_once_the_first_wins_and_the_other_is_dropped(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The worst case: two machines that both believe to hold the lease."""
    monkeypatch.setattr(lease, "DEAD_S", -1.0)
    with ExitStack() as stack:
        ours = stack.enter_context(store.work("shard", "f1"))
        (ours.out / "x").write_text("ours")
        on_another_machine(monkeypatch, tmp_path)
        theirs = stack.enter_context(store.work("shard", "f1"))
        (theirs.out / "x").write_text("theirs")
        monkeypatch.setattr(RemoteStore, "find", finds_nothing_at_first(RemoteStore.find, calls=1))
        assert store.publish(theirs, MANIFEST).file("x").read_text() == "theirs"
        monkeypatch.setattr(RemoteStore, "find", finds_nothing_at_first(RemoteStore.find, calls=1))
        assert store.publish(ours, MANIFEST).file("x").read_text() == "theirs"
    assert len(keys()) == 2  # one manifest, one file


def finds_nothing_at_first(find: Any, calls: int) -> Any:
    left = [calls]

    def patched(self: RemoteStore, stage: str, fingerprint: str) -> Artifact | None:
        left[0] -= 1
        found: Artifact | None = None if left[0] >= 0 else find(self, stage, fingerprint)
        return found

    return patched


def test_parts_are_found_again_on_another_machine(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with suppress(ValueError), store.work("shard", "f1") as work:
        parts = store.parts(work)
        assert parts.finished("p0") is None
        (parts.out / "train").mkdir()
        (parts.out / "train/p0").write_text("abc")
        parts.finish("p0", {"train/p0": SHA_OF_ABC}, {"bad": []})
        assert not (parts.out / "train/p0").exists()
        raise ValueError("killed")
    on_another_machine(monkeypatch, tmp_path)
    with store.work("shard", "f1") as work:
        assert store.parts(work).finished("p0") == {"bad": []}
        (work.out / "dataset.json").write_text("{}")
        artifact = store.publish(work, MANIFEST, {"train/p0": SHA_OF_ABC})
    assert [row["path"] for row in artifact.manifest["files"]] == ["dataset.json", "train/p0"]
    assert artifact.file("train/p0").read_text() == "abc"
    assert keys("work") == []


def test_a_part_that_another_machine_makes_is_published(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with store.work("shard", "f1") as work:
        parts = pickle.loads(pickle.dumps(store.parts(work)))  # noqa: S301  as Ray hands it to a task
        on_another_machine(monkeypatch, tmp_path)
        parts.out.mkdir(parents=True)
        (parts.out / "p0").write_text("abc")
        parts.finish("p0", {"p0": SHA_OF_ABC}, {})
        monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
        (work.out / "dataset.json").write_text("{}")
        artifact = store.publish(work, MANIFEST, {"p0": SHA_OF_ABC})
    assert [row["path"] for row in artifact.manifest["files"]] == ["dataset.json", "p0"]
    assert artifact.file("p0").read_text() == "abc"


def test_a_part_whose_file_is_gone_or_that_is_thrown_away_is_made_again(store: RemoteStore) -> None:
    with suppress(ValueError), store.work("shard", "f1") as work:
        (work.out / "p0").write_text("abc")
        store.parts(work).finish("p0", {"p0": SHA_OF_ABC}, {})
        raise ValueError("killed")
    (at,) = keys("artifacts")
    store.objects.remove([f"artifacts/{at}"])
    with store.work("shard", "f1") as work:
        assert store.parts(work).finished("p0") is None
        (work.out / "p0").write_text("abc")
        store.parts(work).finish("p0", {"p0": SHA_OF_ABC}, {})
        with suppress(StoreError), store.work("other", "f1", fresh=True):
            pass
        assert store.parts(work).finished("p0") == {}
        store.objects.remove(f"work/shard/f1/parts/{name}" for name in store.objects.list("work/shard/f1/parts"))
        with pytest.raises(StoreError, match=r"1 files of stage shard \(p0, ...\) were removed .* while it ran"):
            store.publish(work, MANIFEST, {"p0": SHA_OF_ABC})
    assert store.find("shard", "f1") is None


def test_one_machine_waits_for_the_other(store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    told = threading.Event()
    result: list[str] = []

    with store.work("shard", "f1") as work:
        on_another_machine(monkeypatch, tmp_path)

        def wait(text: str) -> None:
            result.append(text)
            told.set()

        def other() -> None:
            with store.work("shard", "f1", wait):
                result.append("found" if store.find("shard", "f1") else "nothing")

        thread = threading.Thread(target=other)
        thread.start()
        assert told.wait(30)
        monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
        (work.out / "x").write_text("x")
        store.publish(work, MANIFEST)
    thread.join(30)
    assert result[0].startswith("shard: waits for process ")
    assert result[1:] == ["found"]


def test_a_dead_machine_s_lease_is_taken_over(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.objects.write("work/shard/f1/lease.json", json.dumps({"id": "x", "machine": "m", "holder": "h"}).encode())
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    monkeypatch.setattr(lease, "DEAD_S", 0.2)
    waits: list[str] = []
    with store.work("shard", "f1", waits.append):
        assert waits == ["shard: waits for h, which is making it"]
    assert keys() == []


HOLDER = """
import sys, time
from pipeline.store import open_store
with open_store(sys.argv[1]).work("shard", "f1") as work:
    (work.out / "part").write_text("done")
    print("holds", flush=True)
    time.sleep(600)
"""


def test_kill_9_on_this_machine_is_noticed_at_once(store: RemoteStore) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, URL], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "holds\n"
        holder.kill()
    assert keys() == ["work/shard/f1/lease.json"]
    waits: list[str] = []
    with store.work("shard", "f1", waits.append) as work:
        assert (work.out / "part").read_text() == "done"
    assert waits == []


def test_a_few_failing_requests_do_not_matter(store: RemoteStore, s3: Server) -> None:
    s3.rules += [first(2, (503, "SlowDown"), "PUT", "f1.json"), first(2, (500, "InternalError"), "GET")]
    assert publish(store).file("a/x.txt").read_text() == "abc"
    assert s3.seen.count(("PUT", f"/{BUCKET}/runs/artifacts/shard/f1.json")) == 3


def test_a_lost_answer_to_the_manifest_s_writing_does_not_make_it_lose(store: RemoteStore, s3: Server) -> None:
    """The first request did write it; the second one finds it there."""
    real = Objects.write

    def twice(self: Objects, key: str, content: bytes, create: bool = False) -> bool:
        if key.startswith("artifacts/"):
            assert real(self, key, content, create)
        return real(self, key, content, create)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objects, "write", twice)
        artifact = publish(store)
    assert store.find("shard", "f1") == artifact


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, "SlowDown"), r"cannot \w+ .*: it answers 503 SlowDown, tried for \d s. Is it up, .*AWS_ENDPOINT_URL="),
        ((507, "InsufficientStorage"), r"cannot write .*: it is full or its quota is used up \(507"),
        ((403, "QuotaExceeded"), r"cannot write .*: it is full or its quota is used up \(403 QuotaExceeded\)"),
        ((403, "AccessDenied"), r"cannot write .*: it refuses access \(403 AccessDenied\)"),
    ],
)
def test_a_store_that_fails_while_it_is_published(
    store: RemoteStore, s3: Server, answer: tuple[int, str], words: str
) -> None:
    with store.work("shard", "f1") as work:
        (work.out / "x").write_text("x")
        s3.rules.append(first(10**6, answer, "PUT", "/artifacts/"))
        with pytest.raises(StoreError, match=words):
            store.publish(work, MANIFEST)
        s3.rules.clear()
        assert store.find("shard", "f1") is None
        assert (work.out / "x").exists()  # the next attempt goes on with it


def test_a_stopped_server(store: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began_s = time.monotonic()
    with pytest.raises(StoreError, match=r"cannot read .*: it does not answer \(.*tried for \d s. Is it up") as raised:
        store.find("shard", "f1")
    assert time.monotonic() - began_s < 10
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:9" in str(raised.value)
    began_s = time.monotonic()
    with pytest.raises(StoreError):  # what follows a failure does not wait as long again
        store.find("shard", "f1")
    assert time.monotonic() - began_s < 1


def test_no_such_bucket(s3: Server) -> None:
    store = RemoteStore("s3://other-bucket/runs")
    with pytest.raises(StoreError, match=r"s3://other-bucket/runs: cannot .*: there is no such bucket .*Make it, or"):
        store.find("shard", "f1")


def test_wrong_and_missing_credentials(store: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    with pytest.raises(StoreError, match=r"it refuses access|it does not take these credentials"):
        store.find("shard", "f1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"no credentials were found. Set them in the environment"):
        store.find("shard", "f1")


def test_a_cache_without_room_is_said_as_such(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    artifact = publish(store)
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"the cache .*file of this node cannot take .*set ZOETROPE_CACHE"):
        artifact.file("a/x.txt")


@pytest.mark.parametrize(
    "url", ["s3://key:secret@bucket/x", "s3://key@bucket/x", "s3://bucket/x?AWSAccessKeyId=k", "s3://"]
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ZoetropeError) as raised:
        open_store(url)
    assert "secret" not in str(raised.value).replace("SECRET", "")


def test_an_unknown_protocol() -> None:
    with pytest.raises(StoreError, match="nosuch:// is not known"):
        open_store("nosuch://place/x").find("shard", "f1")


def test_a_run_s_record_is_in_the_store(store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = store.record_run("my run", {"uri": "http://me:pw@host"}, [])
    run.update_stage("shard", status="made", fingerprint="f1")
    run.log("shard", f"Traceback ... {SECRET}")
    on_another_machine(monkeypatch, tmp_path)
    (record,) = store.records()
    assert record.name == run.folder.name
    assert record.content["stages"] == {"shard": {"status": "made", "fingerprint": "f1"}}
    assert keys("runs") == [f"{record.name}/{name}" for name in ("recipe.yaml", "run.json", "shard.log")]
    content = b"".join(store.objects.read(f"runs/{key}", 10**6) or b"" for key in keys("runs"))
    assert b"pw@" not in content
    assert SECRET.encode() not in content
    assert KEY.encode() not in content


def test_it_travels_without_credentials(store: RemoteStore) -> None:
    artifact = publish(store)
    with store.work("x", "f") as work:
        sent = pickle.dumps([store, artifact, store.parts(work), store.parts(work).ray_storage()])
    assert SECRET.encode() not in sent
    assert KEY.encode() not in sent
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET


def test_memory_has_no_conditional_writes_to_speak_of_and_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Any other fsspec URL."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    store = RemoteStore("memory://place/runs")
    assert store.find("shard", "f1") is None
    publish(store)
    assert publish(store, text="late").file("a/x.txt").read_text() == "abc"
    on_another_machine(monkeypatch, tmp_path)
    found = store.find("shard", "f1")
    assert found
    assert found.file("a/x.txt").read_text() == "abc"
    assert store.artifacts("shard")[0]["fingerprint"] == "f1"


def test_a_checkpoint_that_is_not_uploaded_is_an_error(store: RemoteStore, s3: Server, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/checkpoint.pt").write_text("c")
    with store.work("train", "f1") as work:
        parts = store.parts(work)
        parts.upload(tmp_path / "made", "f1/step-1")
        path, filesystem = parts.ray_storage()
        assert filesystem.get_file_info(f"{path}/f1/step-1/checkpoint.pt").size == 1
        s3.rules.append(first(10**6, (507, "XMinioStorageFull"), "PUT", "checkpoint.pt"))
        with pytest.raises(StoreError, match="it is full or its quota is used up"):
            parts.upload(tmp_path / "made", "f1/step-2")
        s3.rules.clear()
