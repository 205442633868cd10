"""What a store that fails, is away, full or refuses does to the work on it, and what the user is told."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.store import StoreError, objects
from pipeline.store.objects import Objects
from pipeline.store.remote import RemoteStore
from tests.pipeline.store.publishing import MANIFEST, publish
from tests.pipeline.store.s3_server import BUCKET, Server, first


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
        ((503, "SlowDown"), r"cannot \w+ .*: it answers 503 SlowDown, tried for \d+ s. Is it up, .*AWS_ENDPOINT_URL="),
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
    pauses: list[float] = []
    # A clock that goes on in pauses alone: on a busy machine the first try may take all the patience.
    monkeypatch.setattr(objects, "time", SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append))
    with pytest.raises(StoreError, match=r"cannot read .*: it does not answer \(.*tried for \d+ s. Is it up") as raised:
        store.find("shard", "f1")
    assert 0 < sum(pauses) <= objects.FIRST_PATIENCE_S
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:9" in str(raised.value)
    pauses.clear()
    with pytest.raises(StoreError):  # what follows a failure does not wait as long again
        store.find("shard", "f1")
    assert pauses == []


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


def test_how_a_run_ended_comes_to_a_store_that_was_away_then(store: RemoteStore, s3: Server) -> None:
    run = store.record_run("mine", {}, {})
    s3.rules.append(first(10**6, (503, "SlowDown"), "PUT", "run.json"))
    with pytest.raises(StoreError):
        run.end("failed")
    s3.rules.clear()
    assert [record.content["status"] for record in store.records()] == ["running"]
    store.close_abandoned()
    (record,) = store.records()
    assert (record.content["status"], record.content["ended"]) == ("failed", run.record["ended"])
    s3.seen.clear()
    store.close_abandoned()
    assert s3.seen == []


def test_a_cache_without_room_is_said_as_such(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    artifact = publish(store)
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"the cache .*file of this node cannot take .*set ZOETROPE_CACHE"):
        artifact.file("a/x.txt")


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
