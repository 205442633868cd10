"""What is in the trained model that `loss.distill.teacher` names. Light, for a plan asks too."""

import hashlib
import json
from pathlib import Path

from pipeline.training.find_model import find_model
from pipeline.training.model_folder import FILES


def find_teacher(teacher: str, store_url: str) -> Path:
    """Find the teacher's folder, see `find_model`: a run of the store, or a path."""
    return find_model(teacher, store_url, "loss.distill.teacher")


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
