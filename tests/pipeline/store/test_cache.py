import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.store import cache
from pipeline.store.cache import CachedFiles, Kept, adopt, fetch
from pipeline.store.objects import Objects
from tests.pipeline.store.s3_server import URL, Server

CONTENT = b"0123456789" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEPT = Kept("artifacts/x", len(CONTENT), SHA256)


@pytest.fixture
def objects(s3: Server) -> Objects:
    objects = Objects(URL)
    objects.write(KEPT.at, CONTENT)
    return objects


def test_many_at_once_fetch_once(objects: Objects, s3: Server) -> None:
    s3.seen.clear()
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(objects, KEPT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 8
    assert paths[0].read_bytes() == CONTENT
    assert sum(method == "GET" for method, _ in s3.seen) == 1
    assert [path.name for path in (cache.cache_root() / "blobs").rglob("*") if path.is_file()] == [SHA256]


FETCHER = """
import sys
from pipeline.store.cache import Kept, fetch
from pipeline.store.objects import Objects
real = Objects.download
def slow(self, key, target):
    target.write_bytes(b"torn")
    print("fetching", flush=True)
    import time; time.sleep(600)
Objects.download = slow
fetch(Objects(sys.argv[1]), Kept("artifacts/x", 1, sys.argv[2]))
"""


def test_what_a_killed_process_was_fetching_is_fetched_anew(objects: Objects) -> None:
    command = [sys.executable, "-c", FETCHER, URL, SHA256]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "fetching\n"
        process.kill()
    assert fetch(objects, KEPT).read_bytes() == CONTENT
    assert list(cache.cache_root().rglob("*.part")) == []


def test_one_content_is_kept_once(objects: Objects, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(CONTENT)
    adopt(made, SHA256)
    adopt(made, SHA256)
    files = CachedFiles(URL, "artifacts/shard/f1-d1", {"a/x": KEPT, "b": KEPT})
    files.fetch(["a/x", "b"])
    assert files.file("a/x").stat().st_ino == files.file("b").stat().st_ino
    assert files.file("b").suffix == ""
    assert str(files) == f"{URL}/artifacts/shard/f1"


def test_evicted_as_soon_as_it_is_taken_in(objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process fetches may need the room."""
    made, link = tmp_path / "made", cache.os.link
    made.write_bytes(CONTENT)

    def link_and_evict(path: Path, blob: Path) -> None:
        link(path, blob)
        blob.unlink()

    monkeypatch.setattr(cache.os, "link", link_and_evict)
    adopt(made, SHA256)
    assert made.read_bytes() == CONTENT
    monkeypatch.undo()
    adopt(made, SHA256)
    assert fetch(objects, KEPT).stat().st_mode & 0o777 == 0o444


def test_an_object_that_is_gone(objects: Objects) -> None:
    objects.remove([KEPT.at])
    with pytest.raises(cache.StoreError, match="artifacts/x is gone from the store, and was there when this run began"):
        fetch(objects, KEPT)
    objects.write(KEPT.at, CONTENT)
    assert fetch(objects, KEPT).read_bytes() == CONTENT


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    files = CachedFiles(URL, "artifacts/shard/f1", {})
    assert not files.file("none").exists()
    assert files.file(str(tmp_path)) == tmp_path  # as with a folder: an absolute path is itself
