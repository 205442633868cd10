"""What was published is checked where it is used."""

from pathlib import Path

import pytest

from pipeline.store import FolderStore, StoreError


def test_a_file_is_whole_or_it_is_said(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with store.work("train", "a" * 32) as work:
        (work.out / "x").write_bytes(b"abc")
        artifact = store.publish(work, {})
    assert artifact.whole("x").read_bytes() == b"abc"
    artifact.file("x").write_bytes(b"abd")  # of the same size, so that the artifact is found as ever
    assert store.find("train", "a" * 32) is not None
    with pytest.raises(StoreError, match=r"/x: this file is damaged, .*`python -m pipeline run RECIPE --rerun train`"):
        artifact.whole("x")
    artifact.file("x").unlink()
    with pytest.raises(StoreError, match=r"/x: cannot be read: No such file or directory; .*--rerun train"):
        artifact.whole("x")
