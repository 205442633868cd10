from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Folder


def test_a_folder_on_a_disk_is_not_fetched(tmp_path: Path) -> None:
    Folder(tmp_path).fetch(["train/shard-000000.tar"])
    assert Folder(tmp_path).file("a/b") == tmp_path / "a/b"


def test_a_node_that_does_not_see_the_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"the node \S+ does not see .*/gone\. All nodes .* or it must be a URL"):
        Folder(tmp_path / "gone").fetch([])
