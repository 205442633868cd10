"""Places that a run writes to: HOME, the store, MLflow, temporary files."""

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.base.lock import lock
from pipeline.doctor.found import Found, Looked
from pipeline.tracking.address import resolve
from pipeline.tracking.client import NoAnswer, ping

LEAST_STORE = 5 << 30
LEAST_SCRATCH = 2 << 30


def home(looked: Looked) -> Iterator[Found]:
    """HOME, where Ray keeps its token, and downloaded weights lie."""
    folder = Path(os.path.expanduser("~"))
    why = _refusal(folder)
    yield Found(
        "wrong" if why else "right",
        f"{folder} {why or 'can be written'}",
        "export HOME=/a/folder/of/yours" if why else "",
    )


def store(looked: Looked) -> Iterator[Found]:
    """The store: whether it can be written and locked, and its room."""
    url = looked.store
    if "://" in url:
        from pipeline.store import open_store

        with open_store(url).in_words():
            count = len(open_store(url).records())
        yield Found("right", f"{url} answers, and has {count} runs")
        return
    folder = Path(url).absolute()
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    if why := "is a file" if there.is_file() else _refusal(there):
        yield Found("wrong", f"{there} {why}", "store=/another/folder, or mend its permissions")
        return
    try:
        path = there / f".doctor-{uuid.uuid4().hex[:8]}"
        os.close(lock(path, lambda _: None))
        path.unlink()
    except OSError as error:
        yield Found("wrong", f"{there} knows no locks ({error.strerror})", "store=/a/folder/of/a/disk/of/this/machine")
        return
    yield _room(there, LEAST_STORE, "python -m pipeline gc runs shows what can go", f"{url} can be written, and")


def tracking(looked: Looked) -> Iterator[Found]:
    """MLflow: a server that answers, or a database that is whole."""
    recipe = looked.recipe
    try:
        found = resolve(recipe.tracking.uri if recipe else None, looked.store)
    except ZoetropeError as error:
        yield Found("wrong", str(error))
        return
    if found.uri.startswith(("http://", "https://")):
        try:
            ping(found)
        except NoAnswer as error:
            yield Found(
                "wrong",
                f"MLflow at {found.shown} does not answer ({error})",
                "start it, or unset MLFLOW_TRACKING_URI and tracking.uri for a file in the store",
            )
        else:
            yield Found("right", f"MLflow at {found.shown} answers")
        return
    if found.uri.startswith("sqlite:///"):
        path = Path(found.uri.removeprefix("sqlite:///"))
        yield _database(path) if path.exists() else Found("right", f"{path} will be made by the first run")
        return
    yield Found("note", f"MLflow at {found.shown} is not asked from here")


def scratch(looked: Looked) -> Iterator[Found]:
    """The folder for temporary files, where Ray keeps its sessions."""
    folder = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir()))
    if why := _refusal(folder):
        yield Found("wrong", f"{folder} {why}", "export TMPDIR=/a/folder/with/room RAY_TMPDIR=/a/folder/with/room")
    else:
        yield _room(
            folder, LEAST_SCRATCH, "remove what is old there, or export RAY_TMPDIR=/a/folder/with/room", str(folder)
        )


def _refusal(folder: Path) -> str:
    """Return why a folder cannot be written to; "" where it can."""
    if not folder.is_dir():
        return "is no folder"
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    return ""


def _room(folder: Path, least: int, mend: str, head: str) -> Found:
    free = shutil.disk_usage(folder).free
    right = free >= least
    return Found("right" if right else "wrong", f"{head} has {free / 2**30:.1f} GiB free", "" if right else mend)


def _database(path: Path) -> Found:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
            runs = database.execute("select count(*) from runs").fetchone()[0]
    except sqlite3.Error as error:
        return Found("wrong", f"{path} is no database of MLflow's ({error})", f"mv {path} {path}.broken")
    return Found("right", f"{path} has {runs} runs")
