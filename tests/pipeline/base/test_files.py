import os
from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Folder, read_small


def test_a_folder_on_a_disk_is_not_fetched(tmp_path: Path) -> None:
    Folder(tmp_path).fetch(["train/shard-000000.tar"])
    assert Folder(tmp_path).file("a/b") == tmp_path / "a/b"


def test_a_node_that_does_not_see_the_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"the node \S+ does not see .*/gone\. All nodes .* or it must be a URL"):
        Folder(tmp_path / "gone").fetch([])


def test_only_a_file_is_read_and_of_a_long_one_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert read_small(tmp_path / "a", 10) == b"0123456789"
    assert read_small(tmp_path / "a", 3) == b"0123"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="it is a pipe or a device and no file"):
            read_small(path, 10)
    with pytest.raises(IsADirectoryError):
        read_small(tmp_path, 10)
