"""A store that is no folder: what is published is found, here and on other machines, and of two one wins."""

import os
import pickle
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.store import Artifact, StoreError, lease, open_store
from pipeline.store.remote import RemoteStore
from tests.pipeline.store.publishing import MANIFEST, SHA_OF_ABC, keys, on_another_machine, publish
from tests.pipeline.store.s3_server import KEY, SECRET, URL, Server


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
    run = store.record_run("my run", {"uri": "http://me:pw@host"}, {})
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
