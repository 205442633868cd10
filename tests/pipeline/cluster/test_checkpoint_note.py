"""What is put back for a note that a kill has cut off; with Ray Train itself in test_fit.py."""

import json
from pathlib import Path

import pytest

from pipeline.cluster.checkpoint_note import ANEW, COPY, NOTE, CopyNote, mend, mend_objects
from pipeline.store.arrow import arrow_filesystem
from pipeline.store.objects import Objects


def note(*steps: int) -> str:
    return json.dumps({"checkpoint_results": [{"checkpoint_dir_name": f"step-{step}"} for step in steps]})


def report(folder: Path, *steps: int) -> None:
    """Ray Train notes its newest checkpoints, then removes what it no longer names."""
    (folder / f"step-{steps[-1]}").mkdir()
    (folder / NOTE).write_text(note(*steps))
    for old in folder.glob("step-*"):
        if int(old.name[5:]) not in steps:
            old.rmdir()
    CopyNote(folder).after_report(None, [], None)


@pytest.mark.parametrize("left", ["", note(2, 3)[:20], "null", note(2, 3)])
def test_the_last_whole_note_is_gone_on_with(tmp_path: Path, left: str) -> None:
    for steps in ((1,), (1, 2)):
        report(tmp_path, *steps)
    (tmp_path / "step-3").mkdir()
    (tmp_path / NOTE).write_text(left)  # what the next report came to; nothing was removed yet
    assert mend(tmp_path) is None
    expected = left if left == note(2, 3) else note(1, 2)
    assert (tmp_path / NOTE).read_text() == (tmp_path / COPY).read_text() == expected


@pytest.mark.parametrize("copied", [None, note(0, 1), "{"])
def test_without_another_it_begins_anew_and_says_so(tmp_path: Path, copied: str | None) -> None:
    (tmp_path / "step-1").mkdir()
    (tmp_path / NOTE).write_text(note(1)[:-1])
    if copied:
        (tmp_path / COPY).write_text(copied)
    said = mend(tmp_path)
    assert said is not None
    assert said.startswith("train: begins anew")
    assert not (tmp_path / NOTE).exists()


def test_a_first_attempt_has_none(tmp_path: Path) -> None:
    assert mend(tmp_path / "none") is None


def test_a_checkpoint_that_is_gone_leaves_the_others(tmp_path: Path) -> None:
    """Ray Train refuses a note that names what is gone; in an empty folder the workers find no checkpoint."""
    for steps in ((1,), (1, 2)):
        report(tmp_path, *steps)
    (tmp_path / "step-2").rmdir()
    assert mend(tmp_path) is None
    assert (tmp_path / NOTE).read_text() == note(1, 2)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-1", "step-2"]


def test_checkpoints_that_are_gone_from_an_object_store() -> None:
    """One of two leaves the other; Ray Train's own look finds all that its note names."""
    from ray.train.v2._internal.execution.storage import _exists_at_fs_path

    folder = Objects("memory://notes/runs/work/train/f/ray/f")
    assert mend_objects(folder) is None
    for name in ("step-1", "step-2"):
        folder.write(f"{name}/checkpoint.pt", b"state")
    folder.write(NOTE, note(1, 2).encode())
    assert mend_objects(folder) is None
    assert [len(folder.list(name)) for name in ("step-1", "step-2")] == [1, 1]
    folder.remove(["step-2/checkpoint.pt"])
    filesystem, path = arrow_filesystem(folder)
    assert not _exists_at_fs_path(fs=filesystem, fs_path=f"{path}/step-2")
    assert mend_objects(folder) is None
    assert all(_exists_at_fs_path(fs=filesystem, fs_path=f"{path}/step-{step}") for step in (1, 2))
    folder.remove(["step-1/checkpoint.pt", "step-2/gone"])
    assert mend_objects(folder) == ANEW
    assert folder.read(NOTE, 1000) is None
