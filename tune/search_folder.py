"""The folder of a search in the store: `tune/<name>-<UTC time>/`, found again by what is searched.

search.json     the recipe, the fingerprint of the search, how it ended
events.jsonl    what happened, see journal.py
ray/, trials/   checkpoints; removed when the search has ended
lock            held by the driver
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.lock import is_locked, lock
from pipeline.base.redact import redact_values
from pipeline.graph.plan import with_code
from pipeline.recipe import Recipe, plain
from pipeline.store import open_store
from pipeline.tracking.address import resolve
from tune.space import NO_RESULT

ABOUT = "search.json"


def fingerprint(recipe: Recipe) -> str:
    """Return what is equal for searches of which one resumes the other: `samples` and resources do not count."""
    values = with_code(plain(recipe))
    searched = {key: value for key, value in values["tune"].items() if key not in ("samples", "trial")}
    asked = {key: value for key, value in values.items() if key not in NO_RESULT}
    text = json.dumps({**asked, "tune": searched}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def search_folder(recipe: Recipe, resume: bool) -> Iterator[Path]:
    """Lock and yield a new folder, or with `resume` that of the last search alike.

    ZoetropeError where there is none, and for a store or an MLflow that cannot be used.
    """
    store = open_store(recipe.store)
    if "://" in store.url:
        raise ZoetropeError(
            f"store: {store.url} is no folder, and the checkpoints of a search need one that every node sees. "
            "Set store to such a folder for the search; best.yaml then runs with any store."
        )
    resolve(recipe.tracking.uri, store.url)  # refuses before anything is made what no trial could use
    root, mark = store.home / "tune", fingerprint(recipe)
    with store.in_words():
        folder = _last(root, recipe.name, mark) if resume else _new(root, recipe.name)
        if resume and is_locked(folder / "lock"):
            raise ZoetropeError(f"{folder}: this search is running. Wait for it, or end it first.")
        held = lock(folder / "lock", lambda holder: None)
        try:
            if not resume:
                note(folder, fingerprint=mark, recipe=redact_values(plain(recipe)), status="running")
            yield folder
        finally:
            os.close(held)


def _new(root: Path, name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    while True:
        folder = root / f"{name}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # by another search, in the same second
            time.sleep(0.2)


def _last(root: Path, name: str, mark: str) -> Path:
    alike = [path.parent for path in root.glob(f"{name}-*/{ABOUT}") if about(path.parent).get("fingerprint") == mark]
    if not alike:
        raise ZoetropeError(
            f"{root}: there is no search of this recipe to go on with. Leave --resume out to begin one. "
            "(A search with another space, seed, scheduler or training is another one; more samples are not.)"
        )
    return max(alike, key=lambda folder: folder.name)


def about(folder: Path) -> dict[str, Any]:
    """Return what is noted of a search; empty when it is torn."""
    try:
        noted = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def note(folder: Path, **facts: Any) -> None:
    """Note facts of a search; the others stay."""
    new = folder / f"{ABOUT}.new"
    new.write_text(json.dumps(about(folder) | facts, indent=1))
    os.replace(new, folder / ABOUT)
