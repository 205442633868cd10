import os
from pathlib import Path

import pytest

from pipeline.decode.limits import BadSample
from pipeline.sources.spelling import canonical_url, finder


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://h/f/0.jpg", "https://h/f/0.jpg"),
        ("HTTPS://Some.Host:443/f/0.jpg", "https://some.host/f/0.jpg"),
        ("http://h:8080/f/./a/../0.jpg", "http://h:8080/f/0.jpg"),
        ("http://h/f//0.jpg", "http://h/f//0.jpg"),  # another resource, by RFC 3986
        ("http://h/%7euser/%e4b%2fc.jpg?q=%41#part", "http://h/~user/%E4b%2Fc.jpg?q=A"),
        ("http://h", "http://h/"),
        ("http://h/../../a/..", "http://h/"),
        ("S3://Bucket/f//./0%7e#1?.jpg", "s3://Bucket/f//0%7e#1?.jpg"),  # a name, not to be decoded
    ],
)
def test_urls(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical
    assert canonical_url(canonical) == canonical


def test_urls_that_are_none_or_local() -> None:
    assert canonical_url("file:///data/f/0.jpg") == "/data/f/0.jpg"
    for scheme in ("http", "s3"):
        with pytest.raises(BadSample, match=rf"'{scheme}://\[h/0.jpg' is no URL"):
            canonical_url(f"{scheme}://[h/0.jpg")


@pytest.mark.parametrize(
    ("root", "named", "key", "path"),
    [
        ("https://H/r", "f/0.jpg", "f/0.jpg", "https://h/r/f/0.jpg"),
        ("https://h/r/", "https://h:443/r/f/0.jpg", "f/0.jpg", "https://h/r/f/0.jpg"),
        ("https://h/r", "https://other/r/0.jpg", "https://other/r/0.jpg", "https://other/r/0.jpg"),
        ("s3://b/r", "./f/0.jpg", "f/0.jpg", "s3://b/r/f/0.jpg"),
        ("/nowhere", "f/../0.jpg", "0.jpg", "/nowhere/0.jpg"),
        ("/nowhere/", "/nowhere/f//0.jpg", "f/0.jpg", "/nowhere/f/0.jpg"),
        ("/nowhere", "file:///nowhere/0.jpg", "0.jpg", "/nowhere/0.jpg"),
        ("/nowhere", "/far/0.jpg", "/far/0.jpg", "/far/0.jpg"),
        ("/nowhere", "../0.jpg", "/0.jpg", "/0.jpg"),
    ],
)
def test_keys_and_paths(root: str, named: str, key: str, path: str) -> None:
    found = finder(root)(named)
    assert (found.key, found.path, found.file) == (key, path, path)


def test_backslashes_part_folders_where_no_file_has_them(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "0.jpg").touch()
    assert finder(str(tmp_path))("f\\0.jpg").key == "f/0.jpg"
    (tmp_path / "f\\0.jpg").touch()
    assert finder(str(tmp_path))("f\\0.jpg").key == "f\\0.jpg"
    assert finder(str(tmp_path))("f\\1.jpg").key == "f\\1.jpg"


def test_a_file_url_may_be_encoded(tmp_path: Path) -> None:
    file = tmp_path / "caf\u00e9 50%.jpg"
    file.touch()
    find = finder(str(tmp_path))
    assert file.as_uri().endswith("caf%C3%A9%2050%25.jpg")
    assert find(file.as_uri()) == find(f"file://{file}") == find(file.name)
    (tmp_path / "a%20b.jpg").touch()
    assert find(f"file://{tmp_path}/a%20b.jpg").key == "a%20b.jpg"
    assert find(f"file://{tmp_path}/a%00b.jpg").key == "a%00b.jpg"
    assert find("caf%C3%A9 50%.jpg").path == str(tmp_path / "caf%C3%A9 50%.jpg")  # no URL: as it stands


def test_a_folder_and_a_file_in_two_forms_of_unicode(tmp_path: Path) -> None:
    folder, file = "\u00fcber", "cafe\u0301.jpg"
    (tmp_path / folder).mkdir()
    (tmp_path / folder / file).touch()
    found = finder(str(tmp_path))("u\u0308ber/caf\u00e9.jpg")
    status = os.stat(tmp_path / folder / file)
    assert (found.key, found.file) == (f"{folder}/{file}", (status.st_dev, status.st_ino))
    assert finder(str(tmp_path))("\u00fcber/th\u00e9.jpg").key == "\u00fcber/th\u00e9.jpg"
