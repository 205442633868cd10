"""A file is published whole or not at all."""

from pathlib import Path

import pytest

from pipeline.shards.file_io import publishing, sha256, write_bytes


def test_whole_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a/b.txt"

    def stop_half_way() -> None:
        with publishing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_half_way()
    assert list(path.parent.iterdir()) == []
    write_bytes(path, b"old")
    with publishing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in path.parent.iterdir()] == ["b.txt"]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the first example of FIPS 180-2
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
