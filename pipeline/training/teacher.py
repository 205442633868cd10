"""The trained model that `loss.distill.teacher` names: where it is, and what is in it. Light, for a plan asks too."""

import hashlib
import json
from pathlib import Path

from models.source import WITHIN
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.store import Artifact, Store, open_store
from pipeline.training.model_folder import FILES, check_whole


def find_teacher(teacher: str, store_url: str) -> Path:
    """Find the folder with an exported model's `FILES`, fetched where they are not on this node.

    `teacher` is the name of a run of the store or, with a `/` in it, a path. ZoetropeError when there is no such model,
    or when it is not as it was exported.
    """
    if "/" not in teacher:
        export = _of_run(teacher, open_store(store_url))
        for name in FILES:
            export.whole(f"model/{name}")
        return export.path / "model"
    path = Path(teacher).expanduser()
    for folder in (path / name for name in WITHIN):
        if all((folder / name).is_file() for name in FILES):
            check_whole(folder)
            return folder
    raise ZoetropeError(
        f"loss.distill.teacher: {path} holds no exported model ({', '.join(FILES)}). Write the path of a folder such "
        "as runs/artifacts/export/.../model, or the name of a run of this store."
    )


def digest(folder: Path) -> str:
    """Compute 16 hex digits over what the teacher is."""
    total = hashlib.sha256()
    for name in FILES:
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def read_classes(folder: Path) -> tuple[str, ...]:
    """Read the names of the classes that it knows."""
    return tuple(json.loads((folder / "classes.json").read_text()))


def _of_run(name: str, store: Store) -> Artifact:
    records = {record.name: record.content for record in store.records()}
    if name not in records:
        hint = unknown("run", name, records) if records else f"there is no run in {store.url}"
        raise ZoetropeError(f"loss.distill.teacher: {hint}; a path has a `/` in it, as in ./{name}")
    mark = records[name].get("stages", {}).get("export", {}).get("fingerprint")
    artifact = store.find("export", mark) if mark else None
    if artifact is None:
        raise ZoetropeError(f"loss.distill.teacher: the run {name} has no exported model in {store.url}; run it again")
    return artifact
