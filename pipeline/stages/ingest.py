"""Ingest: list the source, read every file's header in parallel, and give each sample its label and split."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.graph import Context, Stage
from pipeline.recipe import Recipe
from pipeline.sources import folder
from pipeline.stages.parallel import chunks, run_parallel
from pipeline.stages.rows import write_rows

if TYPE_CHECKING:
    from pipeline.decode.probe import Kind

CHUNK = 64
DRAWN = "files"
"""Folder of the artifact that holds what a drawing source draws."""


def outside(values: Mapping[str, Any]) -> str:
    """A digest of the source's listing; a source that draws its files has none."""
    source = values["data"]["source"]
    return folder.digest(Path(source["path"])) if source["kind"] == "folder" else ""


STAGE = Stage(
    name="ingest",
    version=2,
    run="pipeline.stages.ingest:run",
    keys=("task.kind", "data.source", "data.split"),
    outside=outside,
)


def run(context: Context) -> dict[str, Any]:
    """Write `samples.jsonl`, `quarantine.jsonl` and `classes.json`; returns the counts."""
    recipe: Recipe = context.recipe
    from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS

    modality = recipe.task.modality
    root = _draw(context) if recipe.data.source.kind != "folder" else Path(recipe.data.source.path)
    listing = folder.list_folder(
        root, IMAGE_EXTENSIONS if modality == "image" else VIDEO_EXTENSIONS, recipe.data.split.val
    )
    if listing.others:
        passed_over = ", ".join(f"{count} x {what}" for what, count in listing.others.most_common(5))
        context.progress.say(f"ingest: files passed over: {passed_over}")

    samples, quarantine, done = [], [], 0
    parts = [(modality, part) for part in chunks(listing.candidates, CHUNK)]
    for good, bad in run_parallel(_probe_chunk, parts):
        samples += good
        quarantine += bad
        done += len(good) + len(bad)
        context.progress(done, len(listing.candidates), "headers read")
    write_rows(context.out / "quarantine.jsonl", quarantine)
    if len(quarantine) > recipe.data.max_bad * len(listing.candidates):
        raise too_many_bad(quarantine, len(listing.candidates), recipe, context.out / "quarantine.jsonl")

    classes = sorted({row["class"] for row in samples})
    check_splits(samples, classes, recipe)
    numbers = {name: number for number, name in enumerate(classes)}
    drawn = root.is_relative_to(context.out)
    for row in samples:
        row["label"] = numbers[row.pop("class")]
        if drawn:
            row["path"] = str(Path(row["path"]).relative_to(context.out.resolve()))
    write_rows(context.out / "samples.jsonl", samples)
    (context.out / "classes.json").write_text(json.dumps(classes, indent=1))
    return {"samples": len(samples), "quarantined": len(quarantine), "classes": len(classes), "modality": modality}


def _draw(context: Context) -> Path:
    """Let a drawing source write its files into the artifact, in parallel; returns their folder."""
    from pipeline.sources import digits

    recipe: Recipe = context.recipe
    source = recipe.data.source
    root = context.out / DRAWN
    if source.kind == "moving-digits":
        draw = partial(digits.draw_clips, root, size_px=source.size_px, frames=source.frames, seed=recipe.seed)
    else:
        draw = partial(digits.draw_images, root, size_px=source.size_px, seed=recipe.seed)
    parts = [(part,) for part in chunks(range(source.samples), CHUNK)]
    for done, _ in enumerate(run_parallel(draw, parts), 1):
        context.progress(min(done * CHUNK, source.samples), source.samples, "files drawn")
    return root


def _probe_chunk(modality: "Kind", part: list[folder.Candidate]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the readable files, and quarantine rows of the others."""
    from pipeline.decode.limits import BadSample
    from pipeline.decode.probe import probe

    good, bad = [], []
    for candidate in part:
        try:
            header = asdict(probe(Path(candidate.path), modality))
        except BadSample as error:
            bad.append({"source": candidate.key, "stage": "ingest", "reason": error.reason})
        else:
            where = {
                "path": candidate.path,
                "key": candidate.key,
                "class": candidate.class_name,
                "split": candidate.split,
            }
            good.append({**where, **header})
    return good, bad


def too_many_bad(quarantine: list[dict[str, Any]], total: int, recipe: Recipe, table: Path) -> ZoetropeError:
    """The error for more bad samples than `data.max_bad`, with the first reasons and the path of the whole table."""
    first = "\n".join(f"  {row['source']}: {row['reason']}" for row in quarantine[:5])
    return ZoetropeError(
        f"{len(quarantine)} of {total} files cannot be used, more than data.max_bad = {recipe.data.max_bad:g} allows:\n"
        f"{first}\nAll of them are listed in {table}. Mend or remove these files, or raise data.max_bad."
    )


def check_splits(samples: list[dict[str, Any]], classes: list[str], recipe: Recipe) -> None:
    """Raise when the samples cannot be learned from or measured on: one class, an empty split, a class without training."""
    if len(classes) == 1:
        raise ZoetropeError(
            f"there is one class only, {classes[0]!r}; a classifier needs two. data.source.path should be the folder "
            "that holds one folder a class, or train/ and val/ with one folder a class in each."
        )
    by_split = {split: Counter(row["class"] for row in samples if row["split"] == split) for split in folder.SPLITS}
    for split, counts in by_split.items():
        if not counts:
            raise ZoetropeError(
                f"no sample is in the split {split!r}: {len(samples)} samples with data.split.val = "
                f"{recipe.data.split.val:g}. Add samples, change data.split.val, or make train/ and val/ folders."
            )
    if untrained := sorted(set(by_split["val"]) - set(by_split["train"])):
        raise ZoetropeError(
            f"{_some(untrained)} in val, but in train there is no sample of it. "
            "Is the name spelt alike in both? Move some samples to train, or remove the class."
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return f"class {shown} has samples" if len(names) == 1 else f"classes {shown} ({len(names)} in all) have samples"
