"""The note in which Ray Train finds its checkpoints again. It writes it in place, so a kill may leave half of it.

On an object store it is written by one request, which is done wholly or not at all. Checkpoints that it names may have
been removed on both, which Ray Train takes for an error.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.train import UserCallback

from pipeline.shards.file_io import publishing
from pipeline.store.objects import Objects

NOTE, COPY = "checkpoint_manager_snapshot.json", "checkpoints.copy.json"
MAX_NOTE_BYTES = 16 << 20
ANEW = "train: begins anew, since Ray Train's note of its checkpoints is cut off or names some that are gone"


class CopyNote(UserCallback):
    """Keeps a copy. What it names is there until the next note is whole: only then Ray Train removes a checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Take `folder`, that of the note."""
        self.folder = folder

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """Copy the note; called in the controller, after Ray Train has written the note."""
        _keep(self.folder)


def mend(folder: Path) -> str | None:
    """Put, before a training resumes, the copy in place of a note that is cut off.

    Return what to report when none fits.
    """
    note, copy = folder / NOTE, folder / COPY
    if _is_whole(note):
        _keep(folder)  # the last copy may be older, and name what is gone
    elif _is_whole(copy):
        _copy(copy, note)
    elif any((folder / name).is_dir() for name in _named(note)):
        for name in _named(note):  # Ray Train wants all that it names; the workers tell what is not in there
            (folder / name).mkdir(exist_ok=True)
    elif note.exists():
        note.unlink()
        return ANEW
    return None


def mend_objects(folder: Objects) -> str | None:
    """Mend them in an object store."""
    named = _names(folder.read(NOTE, MAX_NOTE_BYTES) or b"")
    gone = [name for name in named if not folder.list(name)]
    if gone == named and named:
        folder.remove([NOTE])
        return ANEW
    for name in gone:  # a folder is there when something is in it
        folder.write(f"{name}/gone", b"")
    return None


def _is_whole(note: Path) -> bool:
    """Tell whether it can be read, and the checkpoints that it names are there."""
    names = _named(note)
    return bool(names) and all((note.parent / name).is_dir() for name in names)


def _named(note: Path) -> list[str]:
    """Return the folders of the checkpoints that it names; none when it is cut off."""
    try:
        return _names(note.read_bytes())
    except OSError:
        return []


def _names(content: bytes) -> list[str]:
    try:
        return [one["checkpoint_dir_name"] for one in json.loads(content)["checkpoint_results"]]
    except (ValueError, LookupError, TypeError):
        return []


def _keep(folder: Path) -> None:
    with suppress(OSError):  # an old copy is better than none
        _copy(folder / NOTE, folder / COPY)


def _copy(note: Path, to: Path) -> None:
    with publishing(to) as new:
        shutil.copyfile(note, new)
