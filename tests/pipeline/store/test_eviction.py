"""The cache's limit: what was not used for longest goes first, under all of its names."""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from pipeline.store.artifact import StoreError
from pipeline.store.cache import CachedFiles, Kept, adopt
from pipeline.store.eviction import LIMIT, held_bytes, limit_bytes, room, touch


def blob(root: Path, name: str, size: int, used_s: float) -> Path:
    path = root / "blobs" / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (used_s, used_s))
    return path


def make_room(root: Path, size: int) -> None:
    """As if a blob of that size were fetched; it does not stay."""
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    with room(root, root / "blobs" / "new", size):
        assert held_bytes(root) <= limit_bytes(root)


def there(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1000", 1000), ("200GB", 200 * 10**9), ("1.5 tb", 1_500_000_000_000), ("7k", 7000), ("3MB", 3_000_000)],
)
def test_limits_as_they_are_written(text: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, text)
    assert limit_bytes(tmp_path) == expected


def test_a_limit_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(StoreError, match="ZOETROPE_CACHE_LIMIT='much': write a size, such as 200GB"):
        limit_bytes(tmp_path)


def test_without_a_limit_the_disk_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT, raising=False)
    status = os.statvfs(tmp_path)
    assert 0 < limit_bytes(tmp_path / "new") < status.f_blocks * status.f_frsize


def test_the_longest_unused_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "1000")
    for number in range(5):
        blob(tmp_path, f"aa{number}", 200, used_s=1000.0 + number)
    assert touch(tmp_path / "blobs/aa/aa0")
    make_room(tmp_path, 300)
    assert there(tmp_path) == {"aa0", "aa3", "aa4"}
    make_room(tmp_path, 400)
    assert there(tmp_path) == {"aa0", "aa3", "aa4"}
    assert not touch(tmp_path / "blobs/aa/aa1")


def test_a_file_goes_under_all_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "1000")
    old = blob(tmp_path, "aa0", 600, used_s=1.0)
    link = tmp_path / "stores/x/artifacts/shard/f/train/shard-000000.tar"
    link.parent.mkdir(parents=True)
    os.link(old, link)
    work = tmp_path / "stores/x/work/out/made"
    work.parent.mkdir(parents=True)
    work.write_bytes(bytes(5000))  # nobody else has it
    assert held_bytes(tmp_path) == 600
    make_room(tmp_path, 500)
    assert (old.exists(), link.exists(), work.exists()) == (False, False, True)


def test_what_is_being_fetched_stays_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "1000")
    blob(tmp_path, "aa1", 300, used_s=2.0)
    with (tmp_path / "blobs/aa/aa0.part").open("wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with room(tmp_path, tmp_path / "blobs/aa/aa0", 600):
            part.write(bytes(100))  # so far
            part.flush()
            assert there(tmp_path) == {"aa1", "aa0.reserved", "aa0.part"}
            assert held_bytes(tmp_path) == 900
            make_room(tmp_path, 400)
            assert there(tmp_path) == {"aa0.reserved", "aa0.part"}
            waits = threading.Thread(target=make_room, args=(tmp_path, 500))
            waits.start()
            waits.join(timeout=0.5)
            assert waits.is_alive(), "it took room that is not there"
    waits.join(timeout=300)
    assert not waits.is_alive()


def test_what_a_killed_process_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "1000")
    blob(tmp_path, "aa0.part", 500, used_s=time.time())
    blob(tmp_path, "aa1.reserved", 500, used_s=time.time())
    make_room(tmp_path, 900)
    assert there(tmp_path) == set()


def test_one_file_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "1000")
    kept = blob(tmp_path, "aa0", 600, used_s=1.0)
    with pytest.raises(StoreError, match=r"may hold 1,000 bytes, and one file has 1,001\. Raise ZOETROPE_CACHE_LIMIT"):
        make_room(tmp_path, 1001)
    assert kept.exists()


def test_files_come_again_when_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    import fsspec

    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(LIMIT, "2500")
    filesystem = fsspec.filesystem("memory")
    contents = {f"{i}": bytes([i]) * 1000 for i in range(6)}
    for name, content in contents.items():
        filesystem.pipe_file(f"/room/{name}", content)
    try:
        kept = {name: Kept(name, 1000, hashlib.sha256(content).hexdigest()) for name, content in contents.items()}
        files = CachedFiles("memory://room", "artifacts/shard/f", kept)
        for _ in range(2):
            for name, content in contents.items():
                assert files.file(name).read_bytes() == content
                assert held_bytes(tmp_path / "cache") <= 2500
        files.fetch(contents)  # more than there is room for: the last ones stay
        assert held_bytes(tmp_path / "cache") <= 2500
    finally:
        filesystem.rm("/room", recursive=True)


def test_what_is_taken_in_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(LIMIT, "2500")
    for number in range(4):
        made = tmp_path / f"{number}"
        made.write_bytes(bytes(1000))
        adopt(made, f"{number}" * 64)
        assert held_bytes(tmp_path / "cache") <= 2500
    assert there(tmp_path / "cache") == {"2" * 64, "3" * 64}
    (tmp_path / "large").write_bytes(bytes(3000))
    adopt(tmp_path / "large", "f" * 64)
    assert there(tmp_path / "cache") == {"2" * 64, "3" * 64}
