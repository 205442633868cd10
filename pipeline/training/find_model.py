"""The exported model that a user names: by its run, a folder, a recipe or an MLflow URI. Light, for a plan asks too."""

import os
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from models.source import WITHIN
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.job import default_store
from pipeline.store import Artifact, Store, open_store
from pipeline.store.record import RECORD
from pipeline.training.model_folder import FILES, check_whole

MLFLOW = ("runs:/", "models:/")
URI = "MLFLOW_TRACKING_URI"
RECIPES = (".yaml", ".yml")
ID = re.compile(r"[0-9a-f]{6,64}")
"""A fingerprint, or the beginning of one as `ls` shows it, or an MLflow run's id."""


def find_model(named: str, store_url: str | None = None, key: str = "", others: bool = False) -> Path:
    """Find the folder with an exported model's `FILES`, fetched where they are not on this node, and read wholly.

    named: a run of the store: its name as `ls` shows it; that of its recipe, for the newest run that has a model; its
        MLflow id; or the fingerprint of what it trained or exported, or the beginning of one. Or what has a `/` in it:
        the folder of an exported model, of an artifact, of a run or of a store; an MLflow URI, `runs:/...` or
        `models:/...`. Or a recipe's file, for its newest run that has a model.
    store_url: by default the recipe's where a recipe is named, else what `default_store` says
    key: the recipe's key whose value it is, for the words of errors
    others: pass over models that themselves started from what is called so, for a recipe that starts from earlier runs
        of its own name

    ZoetropeError when there is no such model, or when it is not as it was exported.
    """
    at = f"{key}: " if key else ""
    if named.startswith(MLFLOW):
        folder = _downloaded(named, store_url or default_store(), at)
    elif "://" in named:
        raise ZoetropeError(f"{at}{named} is no MLflow URI (runs:/..., models:/...); of a store, name a run")
    elif named.endswith(RECIPES):
        from pipeline.recipe import load

        recipe = load(named)
        return _fetched(_of_run(recipe.name, open_store(store_url or recipe.store), at))
    elif "/" not in named:
        return _fetched(_of_run(named, open_store(store_url or default_store()), at, others))
    else:
        folder = Path(named).expanduser()
    if (found := _model_in(folder)) is not None:
        check_whole(found)
        return found
    if (artifact := _of_folder(folder.absolute(), at)) is not None:
        return _fetched(artifact)
    raise ZoetropeError(
        f"{at}{named if named.startswith(MLFLOW) else folder} holds no exported model ({', '.join(FILES)}). Write the "
        "path of a folder such as runs/artifacts/export/.../model, or the name of a run of this store."
    )


def typed(named: str) -> str:
    """Return what was typed at a terminal for `find_model`: a file or folder that is there needs no `/` in its name.

    But for a folder of other things, as that of the data is, by which `init` names the run.
    """
    return f"./{named}" if "/" not in named and _is_meant(Path(named)) else named


def _is_meant(path: Path) -> bool:
    """Tell whether a path is there that may lead to a model."""
    if not path.is_dir():
        return path.exists()
    of_a_store = (path / RECORD).is_file() or (path / "artifacts").is_dir()
    return of_a_store or path.absolute().parents[1].name == "artifacts" or _model_in(path) is not None


def _model_in(folder: Path) -> Path | None:
    found = (folder / name for name in WITHIN)
    return next((place for place in found if all((place / name).is_file() for name in FILES)), None)


def _of_folder(folder: Path, at: str) -> Artifact | None:
    """Return the export of a run's folder, of an artifact's or of a whole store; None for another folder."""
    if (folder / RECORD).is_file():
        return _of_run(folder.name, open_store(folder.parents[1]), at)
    if folder.parent.parent.name == "artifacts" and folder.is_dir():
        return _of_run(folder.name, open_store(folder.parents[2]), at)
    if (folder / "artifacts" / "export").is_dir():
        store = open_store(folder)
        return next(_exports(store, [record.content for record in store.records()]), None)
    return None


def _of_run(name: str, store: Store, at: str, others: bool = False) -> Artifact:
    records = store.records()
    meant = [record.content for record in records if name in (record.name, record.content.get("name"))]
    exports = (one for one in _exports(store, meant) if not others or _start_of(one) != name)
    artifact = next(exports, None) or (None if meant else _of_id(name, store))
    if artifact is not None:
        return artifact
    if meant:
        raise ZoetropeError(f"{at}the run {name} has no exported model in {store.url}; run it again")
    names = {name for record in records for name in (record.name, record.content.get("name")) if name}
    hint = unknown("run", name, names) if names else f"there is no run in {store.url}"
    raise ZoetropeError(f"{at}{hint}; a path has a `/` in it, as in ./{name}")


def _exports(store: Store, records: list[dict[str, Any]]) -> Iterator[Artifact]:
    """Yield the exported models that records tell of and that are there."""
    for record in records:
        mark = record.get("stages", {}).get("export", {}).get("fingerprint")
        if mark and (artifact := store.find("export", mark)):
            yield artifact


def _start_of(export: Artifact) -> str | None:
    """Return the `model.weights` that an exported model started from."""
    weights: str | None = export.manifest["values"].get("model", {}).get("weights")
    return weights


def _of_id(text: str, store: Store) -> Artifact | None:
    """Find the export by its fingerprint, by that of its training, or by the MLflow run of that."""
    if not ID.fullmatch(text):
        return None
    trained = [made["fingerprint"] for made in store.artifacts("train") if made["facts"].get("mlflow_run_id") == text]
    for made in store.artifacts("export"):
        training = made["inputs"].get("train", {}).get("fingerprint", "")
        if training in trained or training.startswith(text) or made["fingerprint"].startswith(text):
            return store.find("export", made["fingerprint"])
    return None


def _fetched(export: Artifact) -> Path:
    for name in FILES:
        export.whole(f"model/{name}")
    return export.path / "model"


def _downloaded(uri: str, store_url: str, at: str) -> Path:
    """Fetch a model of the MLflow that MLFLOW_TRACKING_URI names, else of the store's own."""
    from pipeline.tracking.address import resolve
    from pipeline.tracking.client import quiet, reason

    tracking = resolve(None, store_url)
    database = tracking.uri.removeprefix("sqlite:///")
    if database != tracking.uri and not Path(database).exists():  # MLflow would make it
        raise ZoetropeError(f"{at}{uri}: there is no {database}; set MLFLOW_TRACKING_URI to the MLflow that has it")
    quiet()
    import mlflow
    from mlflow.exceptions import MlflowException

    before = os.environ.get(URI)
    os.environ[URI] = tracking.uri  # as an argument it is not handed to all that is asked
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri.rstrip("/"), dst_path=_scratch(uri).name))
    except (MlflowException, OSError) as error:
        raise ZoetropeError(
            f"{at}{uri} cannot be fetched from {tracking.shown}: {reason(error)}. Set MLFLOW_TRACKING_URI to the "
            "MLflow that has it."
        ) from error
    finally:
        del os.environ[URI]
        os.environ.update({URI: before} if before else {})


@cache
def _scratch(uri: str) -> "tempfile.TemporaryDirectory[str]":
    """Make a folder for what is downloaded, which is gone with this process."""
    return tempfile.TemporaryDirectory(prefix="zoetrope-model-")
