"""Ingest: list the source, read every file's header in parallel, and give each sample its label and split."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, BadSample
from pipeline.graph import Context, Stage, some
from pipeline.recipe import Recipe
from pipeline.recipe.schema import DigitsSource, FolderSource, MovingDigitsSource
from pipeline.sources import folder
from pipeline.stages.parallel import chunks, run_parallel
from pipeline.stages.quarantine import QUARANTINE, check_left, check_share
from pipeline.stages.rows import write_rows

if TYPE_CHECKING:
    from pipeline.decode.probe import Kind

Row = dict[str, Any]

CHUNK = 64
DRAWN = "files"
"""Folder of the artifact that holds what a drawing source draws."""


def outside(values: Mapping[str, Any]) -> str:
    """A digest of the source's listing; a source that draws its files has none."""
    source = values["data"]["source"]
    return folder.digest(Path(source["path"])) if source["kind"] == "folder" else ""


STAGE = Stage(
    name="ingest",
    version=3,
    run="pipeline.stages.ingest:run",
    # data.max_bad decides whether ingest succeeds, not what it makes. The shard stage, whose key it is, looks again.
    keys=("task.kind", "data.source", "data.split"),
    outside=outside,
)


def run(context: Context) -> dict[str, Any]:
    """Write `samples.jsonl`, `quarantine.jsonl` and `classes.json`; returns the counts."""
    recipe: Recipe = context.recipe
    source = recipe.data.source
    root = Path(source.path) if isinstance(source, FolderSource) else _draw(context, source)
    listing = look(recipe, root)
    if listing.others:
        passed_over = ", ".join(f"{count} x {what}" for what, count in listing.others.most_common(5))
        context.progress.say(f"ingest: files passed over: {passed_over}")

    samples, quarantine = _probe(context, listing)
    table = context.out / QUARANTINE
    write_rows(table, quarantine)
    check_share(quarantine, len(listing.candidates), recipe.data.max_bad, table)
    classes = sorted({candidate.class_name for candidate in listing.candidates})
    for split in folder.SPLITS:
        counts = Counter(row["class"] for row in samples if row["split"] == split)
        check_left(split, [counts[name] for name in classes], classes, table)
        if unmeasured := [name for name in classes if not counts[name]]:
            context.progress.say(f"ingest: not in val, so not measured: {some([repr(name) for name in unmeasured])}")

    numbers = {name: number for number, name in enumerate(classes)}
    for row in samples:
        row["label"] = numbers[row.pop("class")]
        if not isinstance(source, FolderSource):
            row["path"] = f"{DRAWN}/{row['key']}"
    write_rows(context.out / "samples.jsonl", samples)
    (context.out / "classes.json").write_text(json.dumps(classes, indent=1))
    return {"samples": len(samples), "quarantined": len(quarantine), "classes": len(classes)}


def look(recipe: Recipe, root: Path) -> folder.Listing:
    """What the source's folder holds, by names alone. Raises where no classifier can be trained on it or measured."""
    extensions = IMAGE_EXTENSIONS if recipe.task.modality == "image" else VIDEO_EXTENSIONS
    listing = folder.list_folder(root, extensions, recipe.data.split.val)
    classes = {split: {c.class_name for c in listing.candidates if c.split == split} for split in folder.SPLITS}
    names = classes["train"] | classes["val"]
    share, count = recipe.data.split.val, len(listing.candidates)
    if len(names) == 1:
        raise ZoetropeError(
            f"data.source.path: {root} has one class only, {min(names)!r}, and a classifier needs two. "
            f"It should hold {folder.LAYOUT}."
        )
    for split in folder.SPLITS:
        if not classes[split] and listing.held_out_by_ratio:
            raise ZoetropeError(
                f"data.split.val: a share of {share:g} leaves no sample of {count} in the split {split!r}. "
                "Add samples, change data.split.val, or make folders train/ and val/."
            )
        if not classes[split]:
            raise ZoetropeError(f"data.source.path: {root / split} holds no file of {', '.join(sorted(extensions))}.")
    if untrained := sorted(classes["val"] - classes["train"]):
        found = some([repr(name) for name in untrained])
        raise ZoetropeError(
            f"data.split.val: all samples of class {found} fell to val, and none to train. "
            "Add samples, change data.split.val, or make folders train/ and val/."
            if listing.held_out_by_ratio
            else f"data.source.path: {root}: val has samples of class {found}, and train has none. "
            "Is the name spelt alike in both? Else move some samples to train, or remove the class."
        )
    return listing


def _draw(context: Context, source: MovingDigitsSource | DigitsSource) -> Path:
    """Let a drawing source write its files into the artifact, in parallel; returns their folder."""
    from pipeline.sources import digits

    root = context.out / DRAWN
    if isinstance(source, MovingDigitsSource):
        draw = partial(digits.draw_clips, root, size_px=source.size_px, frames=source.frames)
    else:
        draw = partial(digits.draw_images, root, size_px=source.size_px)
    parts = [(part,) for part in chunks(range(source.samples), CHUNK)]
    for done, _ in enumerate(run_parallel(draw, parts, here=not context.parts.shared), 1):
        context.progress(min(done * CHUNK, source.samples), source.samples, "files drawn")
    return root


def _probe(context: Context, listing: folder.Listing) -> tuple[list[Row], list[Row]]:
    """Rows of the readable files, and quarantine rows of the others, in the listing's order."""
    samples: list[Row] = []
    quarantine: list[Row] = []
    parts = [(context.recipe.task.modality, part) for part in chunks(listing.candidates, CHUNK)]
    drawn_here = not context.parts.shared and not isinstance(context.recipe.data.source, FolderSource)
    for good, bad in run_parallel(probe_chunk, parts, here=drawn_here):
        samples += good
        quarantine += bad
        context.progress(len(samples) + len(quarantine), len(listing.candidates), "headers read")
    return samples, quarantine


def probe_chunk(modality: "Kind", part: Sequence[folder.Candidate]) -> tuple[list[Row], list[Row]]:
    """Rows of the readable files, and quarantine rows of the others."""
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
