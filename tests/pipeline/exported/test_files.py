"""What FILES stand for."""

from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.exported.files import named


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("p/b.jpg", "p/a.PNG", "p/notes.md", "p/clip.mp4", "p/x/c.webp", "p/.hidden/d.jpg", "p/.e.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def test_folders_patterns_and_files(photos: Path) -> None:
    assert list(named(["p"], "image")) == ["p/a.PNG", "p/b.jpg", "p/x/c.webp"]
    assert list(named(["p"], "video")) == ["p/clip.mp4"]
    assert list(named(["p/**/*.[jw]*", "absent.jpg"], "image")) == ["p/b.jpg", "p/x/c.webp", "absent.jpg"]
    assert list(named(["p/clip.mp4", "https://host/a.jpg?b=1"], "image")) == ["p/clip.mp4", "https://host/a.jpg?b=1"]
    (photos / "[1].jpg").touch()
    assert list(named(["[1].jpg"], "image")) == ["[1].jpg"]  # that is its name


@pytest.mark.parametrize(
    ("name", "text", "column"),
    [
        ("list.csv", "label,path\ncat,b.jpg\ndog,/q/c.jpg\n,\n", None),
        ("list.csv", "path,mine\nno.jpg,b.jpg\nno.jpg,/q/c.jpg\n", "mine"),
        ("list.jsonl", '{"url": "b.jpg"}\n{"url": "/q/c.jpg", "more": [1]}\n', None),
        ("list.txt", "b.jpg 1\n/q/c.jpg 0\n", None),
    ],
)
def test_tables(photos: Path, name: str, text: str, column: str | None) -> None:
    (photos / "p" / name).write_text(text)
    assert list(named([f"p/{name}"], "image", column)) == [str(photos / "p/b.jpg"), "/q/c.jpg"]


def test_they_come_one_after_the_other(photos: Path) -> None:
    found = named(["p", "nothing/*.jpg"], "image")
    assert (next(found), next(found), next(found)) == ("p/a.PNG", "p/b.jpg", "p/x/c.webp")
    with pytest.raises(ZoetropeError, match=r"^no file is like nothing/\*\.jpg"):
        next(found)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("p/x", "the folder p/x holds no video"),
        ("none.csv", r"^the table none.csv cannot be read: No such file"),
        ("odd.csv", "^odd.csv: has the columns a, b; say which holds paths by --column"),
        ("odd.jsonl", "^odd.jsonl has no valid JSON in line 1"),
        ("bare.csv", "^bare.csv names no file"),
    ],
)
def test_what_gives_nothing(photos: Path, file: str, says: str) -> None:
    (photos / "odd.csv").write_text("a,b\n1,2\n")
    (photos / "odd.jsonl").write_text("{\n")
    (photos / "bare.csv").write_text("path,label\n,cat\n")
    with pytest.raises(ZoetropeError, match=says):
        list(named([file], "video"))
    with pytest.raises(ZoetropeError, match="unknown column 'labl'; did you mean 'label'"):
        list(named(["bare.csv"], "video", "labl"))


def test_a_table_of_parquet(photos: Path) -> None:
    import pandas

    pandas.DataFrame({"image": ["a.jpg", "b.jpg"], "n": [1, 2]}).to_parquet(photos / "list.parquet")
    assert list(named(["list.parquet"], "image")) == [str(photos / "a.jpg"), str(photos / "b.jpg")]
