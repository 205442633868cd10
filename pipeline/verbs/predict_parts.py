"""A long list of files shared by a cluster, in parts; what is done stays done, and the same command goes on."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.parallel import chunks, run_parallel
from pipeline.exported.files import named
from pipeline.exported.model import Model
from pipeline.exported.predictions import predictions
from pipeline.exported.predictor import Predictor
from pipeline.exported.written import Row, check_table, line, rows, table_of, write_file, write_table
from pipeline.graph.progress import Progress
from pipeline.training.find_model import find_model, typed
from pipeline.training.model_folder import FILES
from pipeline.verbs.driver import ray_cluster
from pipeline.verbs.predict import Wanted

PART_FILES = 500
"""Files of a part: some seconds' work, and what is lost with a node."""
LIST = "list.json"

Models = tuple[tuple[bytes, ...], ...]
"""Of each model the contents of its `FILES`, which travel to nodes that see no folder of it."""


def predict_parts(
    console: Console,
    models: Sequence[str],
    files: Sequence[str],
    wanted: Wanted,
    store: str | None = None,
    column: str | None = None,
) -> bool:
    """Predict files on Ray, parts of them a task; True when all of them could be used. Nodes must see the files.

    Parts lie in a folder beside `wanted.out` until all are there; then they become the table, and the folder goes.
    ZoetropeError for a folder of another list, other models or other options.
    """
    if wanted.out is None:
        raise ZoetropeError("--ray: say by --out where the answers go, such as --out answers.jsonl")
    check_table(wanted.out)
    folders = [find_model(typed(model), store) for model in models]
    first = Model([Predictor(folder, "cpu", wanted.views) for folder in folders]).predictors[0]
    paths = list(named(files, first.recipe.task.modality, column, first.recipe.data.bands))
    contents: Models = tuple(tuple((folder / name).read_bytes() for name in FILES) for folder in folders)
    parts = _opened(wanted.out, paths, contents, wanted)
    cuts = list(chunks(paths, PART_FILES))
    left = [number for number in range(len(cuts)) if not _part(parts, number).is_file()]
    if len(left) < len(cuts):
        console.print(f"{len(cuts) - len(left)} of {len(cuts)} parts are there already", markup=False)
    if left:
        with ray_cluster(first.recipe, console), Progress(console) as progress:
            import ray

            there = ray.put(contents)
            gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0))
            arguments = [([there], cuts[number], number * PART_FILES, replace(wanted, out=None)) for number in left]
            progress.start("predict")
            for done, (number, made) in enumerate(
                zip(left, run_parallel(predict_part, arguments, gpus=gpus), strict=True), 1
            ):
                text, kept = made
                for path, content in kept:
                    write_file(Path(path), content)
                write_file(_part(parts, number), text.encode())  # the last: a part that is there is whole
                progress.update("predict", done, len(left), "parts")
    bad = 0

    def joined() -> Iterator[Row]:
        nonlocal bad
        for number in range(len(cuts)):
            with _part(parts, number).open(encoding="utf-8") as file:
                for text in file:
                    row = json.loads(text)
                    bad += "error" in row
                    yield row

    write_table(wanted.out, table_of(first.task, wanted.top, wanted.save is not None), joined())
    shutil.rmtree(parts)
    console.print(f"{len(paths)} files" + (f", {bad} of them cannot be used" if bad else ""), markup=False)
    return not bad


def predict_part(
    models: list[Any], files: Sequence[str], first: int, wanted: Wanted
) -> tuple[str, list[tuple[str, bytes]]]:
    """Predict a part of the files: rows as lines of JSON, and the files and drawings that go with them."""
    import ray

    (contents,) = ray.get(models)
    predictors = _loaded(contents, json.dumps(wanted.views))
    kept: list[tuple[str, bytes]] = []
    found = predictions(predictors, files, 1, wanted.top, wanted.draw is not None, wanted.batch_size)

    def keep(path: Path, content: bytes) -> None:
        kept.append((str(path), content))

    made = rows(found, predictors[0].task, wanted.save, wanted.draw, first, keep)
    return "".join(map(line, made)), kept


@lru_cache(1)
def _loaded(contents: Models, views: str) -> list[Predictor]:
    """Load models once in a process, which Ray keeps for further parts."""
    loaded = []
    for content in contents:
        with tempfile.TemporaryDirectory(prefix="zoetrope-model-") as folder:
            for name, data in zip(FILES, content, strict=True):
                (Path(folder) / name).write_bytes(data)
            loaded.append(Predictor(Path(folder), views=json.loads(views), prepared=True))
    return loaded


def _opened(out: Path, paths: list[str], contents: Models, wanted: Wanted) -> Path:
    """Make the folder of parts, or find that of an attempt that was ended."""
    parts = out.with_name(out.name + ".parts")
    total = hashlib.sha256(json.dumps([paths, PART_FILES, wanted.top, wanted.views, str(wanted.save)]).encode())
    total.update(str(wanted.draw).encode())
    for content in (data for each in contents for data in each):
        total.update(hashlib.sha256(content).digest())
    note = {"digest": total.hexdigest(), "files": len(paths)}
    known = parts / LIST
    if not known.is_file():
        write_file(known, json.dumps(note).encode())
    elif json.loads(known.read_bytes()) != note:
        raise ZoetropeError(
            f"{parts} holds parts of another list of files, of another model or with other options; remove it, or "
            "choose another --out"
        )
    return parts


def _part(parts: Path, number: int) -> Path:
    return parts / f"{number:06d}.jsonl"
