"""The verb `export`: a model as a file that runs without this project, compared with the model on real samples."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.exported.agreement import check, worst_differences
from pipeline.exported.answering import Exportable, exportable, free_sides, traced
from pipeline.exported.beside import about, write_beside, write_card
from pipeline.exported.formats import FILES, RUNNERS, WRITERS, check_packages, write_safetensors
from pipeline.exported.lineage import Lineage, lineage
from pipeline.exported.predictor import Predictor
from pipeline.exported.samples import views_of_files, views_of_shards
from pipeline.tasks.base import Arrays
from pipeline.training.find_model import find_model, typed

MOST_SAMPLES = 8


@dataclass(frozen=True)
class Asked:
    """How to export: see the options of the verb."""

    to: str = "onnx"
    preprocess: bool = False
    any_size: bool | None = None
    """None: where the task's pictures have several."""
    online: bool = False
    samples: Sequence[Path] = ()
    tolerance: float = 1e-4


def export(console: Console, named: str, out: Path | None, asked: Asked) -> Path:
    """Export the model that a user names into the folder `out`, by default NAME-FORMAT here; returns the file."""
    if asked.to not in FILES:
        raise ZoetropeError(f"--to: {unknown('format', asked.to, FILES)}")
    check_packages(asked.to)
    folder = find_model(typed(named))
    predictor = Predictor(folder, device="cpu")
    out = out or Path(f"{predictor.recipe.name}-{asked.to}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = export_into(out, predictor, folder, lineage(folder), asked, console)
    except OSError as error:
        raise ZoetropeError(f"--out {out}: cannot be written: {error.strerror}") from error
    console.print(f"{file} is {file.stat().st_size / 1e6:,.1f} MB; {out / 'README.md'} says what it is.", markup=False)
    if asked.to in WRITERS:
        console.print(f"Try it:\n  python {out / 'example.py'} FILE", markup=False)
    return file


def export_into(out: Path, predictor: Predictor, folder: Path, origin: Lineage, asked: Asked, console: Console) -> Path:
    """Write the file and what lies beside it into `out`; returns the file."""
    recipe, file = predictor.recipe, out / FILES[asked.to]
    any_size = predictor.task.any_size if asked.any_size is None else asked.any_size
    given = exportable(recipe, predictor.model, predictor.task, asked.preprocess, asked.online, any_size)
    if asked.to not in WRITERS:
        described = about(recipe, given, any_size)
        write_safetensors(folder / FILES["safetensors"], {"labels": predictor.classes, **described}, file)
        found, is_free = "Its weights are those of the training, bit for bit.", any_size
    else:
        views = _views(predictor, origin, asked)
        began = time.monotonic()
        program = traced(given)
        is_free = free_sides(program, given.axes)
        if any_size and not is_free:  # then of the size that it is for
            given = exportable(recipe, predictor.model, predictor.task, asked.preprocess, asked.online)
            program = traced(given)
        WRITERS[asked.to](given, program, file)
        seconds = time.monotonic() - began
        found = _compared(given, file, views, predictor, asked, is_free)
        console.print(f"{_shape_words(given, is_free)}; exported in {seconds:.1f} s. {found}", markup=False)
    card = write_card(recipe, predictor.task, origin, file.name, found, len(predictor.classes))
    write_beside(
        out, about(recipe, given, is_free), predictor.classes, card, asked.to in WRITERS, predictor.task.helper
    )
    return file


def _views(predictor: Predictor, origin: Lineage, asked: Asked) -> list[Arrays]:
    if asked.samples:
        return views_of_files(predictor, asked.samples, MOST_SAMPLES)
    if origin.shard is None:
        raise ZoetropeError(
            "the exported file is compared with the model on real samples, and the shards of this model's data are not "
            "there; name some files, or a folder of them: --samples FOLDER"
        )
    return views_of_shards(predictor, origin.shard, MOST_SAMPLES)


def _compared(
    given: Exportable, file: Path, views: list[Arrays], predictor: Predictor, asked: Asked, is_free: bool
) -> str:
    """Compare the file with the model, and say how; one that differs is removed, and a ZoetropeError."""
    usable = [view for view in views if is_free or view["pixels"].shape[-3:-1] == given.size]
    if not usable:
        height, width = given.size
        raise ZoetropeError(
            f"the exported file takes pictures of {width} x {height} px alone, and the evaluation sees none of the "
            "samples in that size; end augment.eval with a crop or resize to it, and run again"
        )
    worst = worst_differences(given, RUNNERS[asked.to](file), usable, predictor.normalize)
    try:
        check(worst, asked.tolerance, str(file))
    except ZoetropeError:
        for path in (file, file.with_name(file.name + ".data")):
            path.unlink(missing_ok=True)
        raise
    return (
        f"Compared with the model on {len(usable)} views of real samples: the worst difference is "
        f"{max(worst.values()):.1e}, and {asked.tolerance:.0e} is allowed."
    )


def _shape_words(given: Exportable, is_free: bool) -> str:
    height, width = given.size
    return "Batch and size are free" if is_free else f"The batch is free, pictures are {width} x {height} px"
