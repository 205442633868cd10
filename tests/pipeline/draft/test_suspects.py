"""Files that look wrong."""

from pathlib import Path

from pipeline.draft.suspects import misnamed, sizes_of, tiny
from pipeline.sources.listing import Candidate
from pipeline.sources.rows import Row


def row(path: Path, width: int = 32, height: int = 32) -> Row:
    return {"key": path.name, "path": str(path), "width": width, "height": height, "frames": 1}


def test_contents_that_belie_the_extension(tmp_path: Path) -> None:
    files = {"a.jpg": b"\xff\xd8\xff\xe0", "b.jpg": b"\x89PNG\r\n", "c.png": b"GIF89a", "d.tif": b"II*\0", "e.jpg": b""}
    rows = []
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        rows.append(row(tmp_path / name))
    assert misnamed(rows) == [("b.jpg", "PNG"), ("c.png", "GIF")]


def test_tiny_pictures(tmp_path: Path) -> None:
    rows = [row(tmp_path / "a", 16, 16), row(tmp_path / "b", 15, 400), row(tmp_path / "c", 400, 1)]
    assert tiny(rows) == ["b", "c"]


def test_sizes_are_of_files_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    paths = {"a": str(tmp_path / "a"), "b": str(tmp_path / "b"), "c": "https://example.org/c.jpg"}
    assert sizes_of([Candidate(key, path, (), "train") for key, path in paths.items()]) == {"a": 3}
