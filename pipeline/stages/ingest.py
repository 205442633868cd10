"""Ingest: list the source, read every file's header in parallel, and give each sample its label and split."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.parallel import chunks, run_parallel
from pipeline.graph.plan import Context, Stage, some
from pipeline.recipe import Recipe
from pipeline.recipe.sources import DrawnSource, MixtureSource, WebDatasetSource
from pipeline.sources import digest, look_at, masks, mixture, summary, things
from pipeline.sources.classes import resolve_classes
from pipeline.sources.drawn import as_files, draw
from pipeline.sources.listing import SPLITS, Listing, splits_in
from pipeline.sources.rows import BadRow, Row, number_classes
from pipeline.sources.splits import divide, known_test
from pipeline.stages import adopt
from pipeline.stages.headers import probe_chunk
from pipeline.stages.json_lines import write_rows
from pipeline.stages.quarantine import QUARANTINE, check_left, check_share

CHUNK = 64
MISSING = "missing.txt"
"""Names, a line each, of what annotations name and is not there."""
DATA = "data"
"""The fact that holds the lines which a plan shows of the data: what there is, and what is not used."""
VALUES = "values.jsonl"
"""Rows of `pipeline.sources.masks.ValueRow`: what the values of masks mean, and how much there is of each."""
DRAWN = "files"
"""Folder of the artifact that holds what a drawing source draws."""


def outside(values: Mapping[str, Any]) -> str:
    """Return a digest of the source's listing; a source that draws its files has none."""
    return digest(values["data"]["source"])


STAGE = Stage(
    name="ingest",
    version=4,
    run="pipeline.stages.ingest:run",
    # data.max_bad decides whether ingest succeeds, not what it makes. The shard stage, whose key it is, looks again.
    keys=("task.kind", "data.source", "data.split"),
    late=("data.classes", "data.channels", "data.bits", "task.body"),
    outside=outside,
    news="files of more kinds are taken, one file counts once, and classes that are numbers are ordered by value",
)


def run(context: Context) -> dict[str, Any]:
    """Write `samples.jsonl`, `quarantine.jsonl` and `classes.json`; returns the counts, and the data in words."""
    recipe: Recipe = context.recipe
    source = recipe.data.source
    drawn = _draw(context, source) if isinstance(source, DrawnSource) else None
    table = context.out / QUARANTINE
    if isinstance(source, WebDatasetSource):
        samples, quarantine, refused_classes, passed_over = adopt.read_tars(context)
        write_rows(table, quarantine)
        check_share(quarantine, len(samples) + len(quarantine), recipe.data.max_bad, table)
        samples, listing = adopt.named(recipe, samples, refused_classes, passed_over)
        check_listing(recipe, listing)
        _tell(context, summary.of_others(listing))
    else:
        listing = look(recipe, drawn)
        _tell(context, summary.of_others(listing))
        refused = _refused(listing)
        write_rows(table, refused)  # before any file is opened: these may be too many already
        check_share(refused, len(listing.candidates) + len(refused), recipe.data.max_bad, table)
        samples, quarantine = _probe(context, listing)
        write_rows(table, quarantine)
        check_share(quarantine, len(listing.candidates) + len(listing.refused), recipe.data.max_bad, table)
    classes = listing.classes()
    numbers = {name: number for number, name in enumerate(classes)}
    said = _read_masks(context, listing, samples, numbers) if listing.masks else []
    objects = _count_objects(context, samples, classes)
    samples = _measurable(context, listing, samples)
    for split in splits_in({row["split"] for row in samples}):
        left = [row for row in samples if row["split"] == split]
        counts = dict.fromkeys(classes, 0) | Counter(name for row in left for name in row["classes"])
        check_left(split, len(left), counts, recipe.task.label_sets, table)
        if missed := [name for name in classes if not counts[name]]:
            what = "not learned" if split == "train" else "not measured"
            context.progress.say(f"ingest: not in {split}, so {what}: {some([repr(name) for name in missed])}")

    told = summary.of_samples([(row["split"], row["classes"]) for row in samples], classes)
    _tell(context, [told])

    def inside(path: str) -> str:
        return Path(path).relative_to(context.out).as_posix()

    for row in samples:
        number_classes(row, numbers, recipe.task.label_sets)
        if drawn:  # the artifact holds them, wherever it is
            row["path"] = inside(row["path"])
            if "members" in row:
                row["members"] = {name: inside(path) for name, path in row["members"].items()}
    write_rows(context.out / "samples.jsonl", samples)
    (context.out / "classes.json").write_text(json.dumps(classes, indent=1))
    if listing.missing:
        (context.out / MISSING).write_text("".join(f"{name}\n" for name in listing.missing))
    missing = {"missing": len(listing.missing)} if listing.missing else {}
    why = summary.of_refused({row["source"]: row["reason"] for row in quarantine})
    return {
        "samples": len(samples),
        "quarantined": len(quarantine),
        "classes": len(classes),
        **missing,
        **({"values": len(said)} if said else {}),
        DATA: [told, *objects, *summary.of_values(said), *summary.of_others(listing), *why],
    }


def _read_masks(
    context: Context, listing: Listing, samples: list[Row], numbers: Mapping[str, int]
) -> list[masks.ValueRow]:
    """Give the rows the classes that their masks show, and write and say what the values of these mean."""
    what = "objects" if context.recipe.task.answers in ("objects", "keypoints") else "pixels"
    said = masks.tally(samples, listing.masks, numbers, what).rows(listing.masks)
    write_rows(context.out / VALUES, said)
    masks.write(context.out / masks.MASKS, {name: one.numbered(numbers) for name, one in listing.masks.items()})
    shown = masks.lines(said[: masks.SHOWN], said, what)
    more = [f"and {len(said) - masks.SHOWN:,} values more, see {context.out / VALUES}"] if shown[masks.SHOWN :] else []
    _tell(context, [*shown, *more])
    return said


def _count_objects(context: Context, samples: list[Row], classes: Sequence[str]) -> list[str]:
    """Say how many objects of each class there are, and what was left out; returns the lines that a plan shows."""
    rows = [row for row in samples if "settled" in row]
    if not rows:
        return []
    found = things.tally(rows)
    _tell(context, [*summary.of_classes(found.objects, classes), *found.words()])
    return [summary.of_objects(found.objects, found.most), *found.words()]


def _measurable(context: Context, listing: Listing, samples: list[Row]) -> list[Row]:
    """Return the samples without a test split whose masks show no class, as where a benchmark keeps them to itself."""
    tested = [row["classes"] for row in samples if row["split"] == "test"]
    if not tested or any(tested) or not listing.masks:
        return samples
    _tell(context, [f"test is not measured: no class is in the masks of its {len(tested):,} samples"])
    return [row for row in samples if row["split"] != "test"]


def _tell(context: Context, lines: Sequence[str]) -> None:
    for line in lines:
        context.progress.say(f"ingest: {line}")


def look(recipe: Recipe, drawn: Path | None = None) -> Listing:
    """List what the source holds, by names alone. Raises where no model can be trained on it or measured.

    `drawn` is the folder of a source that draws its files.
    """
    source = recipe.data.source
    if drawn and isinstance(source, DrawnSource):
        source = as_files(source, drawn)
    found = look_at(source, recipe.task, recipe.data.split, recipe.data.bands)
    listing = divide(resolve_classes(found, recipe.data.classes, recipe.task.label_sets), recipe.data.split)
    if not recipe.task.label_sets:
        listing = known_test(listing)
    check_listing(recipe, listing)
    return listing


def check_listing(recipe: Recipe, listing: Listing) -> None:
    """Raise where no model can be trained on what a source holds, or measured; with what is missing or refused."""
    try:
        _check_classes(recipe, listing)
    except ZoetropeError as error:
        why = [*summary.of_missing(listing.missing), *summary.of_refused(listing.refused)]
        raise ZoetropeError("\n  ".join([str(error), *why])) from error


def _check_classes(recipe: Recipe, listing: Listing) -> None:
    classes = {split: {n for c in listing.candidates if c.split == split for n in c.labels} for split in SPLITS}
    if isinstance(recipe.data.source, MixtureSource):
        for name in recipe.data.source.of:
            mixture.check_trained(name, [one for one in listing.candidates if one.source == name])
    names = set.union(*classes.values())
    if len(listing.mask_classes) == 1 and recipe.task.answers == "mask":
        raise ZoetropeError(
            f"data.source.classes: names one class only, {min(listing.mask_classes)!r}, and a mask needs two, such as "
            "[background, object]."
        )
    if not names and not listing.masks and recipe.task.answers != "image":
        of_objects = recipe.task.answers in ("objects", "keypoints")
        what = "shows no object in any picture" if of_objects else "gives no sample a label"
        raise ZoetropeError(f"{listing.where} {what}. It should hold {listing.layout}.")
    if len(names) > 1 and recipe.task.answers == "keypoints":
        raise ZoetropeError(
            f"{listing.where} has {len(names)} classes of bodies, {', '.join(sorted(names)[:3])}, and task.kind "
            "keypoints tells none apart: take one by data.classes.keep, or rename them to one name."
        )
    if len(names) == 1 and not recipe.task.label_sets:
        raise ZoetropeError(
            f"{listing.where} has one class only, {min(names)!r}, and a classifier needs two. "
            f"It should hold {listing.layout}."
        )
    for split in splits_in(["test"] if recipe.data.split.test else []):
        if not any(candidate.split == split for candidate in listing.candidates):
            key = "test" if split == "test" else "val"
            raise ZoetropeError(
                f"data.split.{key}: a share of {getattr(recipe.data.split, key):g} leaves no sample of "
                f"{len(listing.candidates)} in the split {split!r}. "
                f"Add samples, change data.split.{key}, or {listing.own_split}."
                if listing.held_out_by_ratio
                else f"{listing.where}: no sample of the split {split!r} is left that can be used."
            )
    for split in ("val", "test"):
        if not (untrained := sorted(classes[split] - classes["train"])) or recipe.task.label_sets:
            continue
        found = some([repr(name) for name in untrained])
        raise ZoetropeError(
            f"data.split.{split}: all samples of class {found} fell to {split}, and none to train. "
            f"Add samples, change data.split.{split}, set data.split.stratify to true, or {listing.own_split}."
            if listing.held_out_by_ratio and (split == "val" or recipe.data.split.test)
            else f"{listing.where}: {split} has samples of class {found}, and train has none. "
            "Is the name spelt alike in both? Else move some samples to train, or remove the class."
        )


def _draw(context: Context, source: DrawnSource) -> Path:
    """Let a drawing source write its files into the artifact, in parallel; returns their folder."""
    root = context.out / DRAWN
    parts = [(part,) for part in chunks(range(source.samples), CHUNK)]
    draw_part = partial(draw, source, root)
    for done, _ in enumerate(run_parallel(draw_part, parts, here=not context.parts.shared), 1):
        context.progress(min(done * CHUNK, source.samples), source.samples, "files drawn")
    return root


def _refused(listing: Listing) -> list[BadRow]:
    return [{"source": key, "stage": "ingest", "reason": why} for key, why in listing.refused.items()]


def _probe(context: Context, listing: Listing) -> tuple[list[Row], list[BadRow]]:
    """Probe rows of the readable files, and quarantine rows of the others, in the listing's order."""
    samples: list[Row] = []
    quarantine = _refused(listing)
    recipe = context.recipe
    first = (recipe.task.modality, recipe.feed.timeout_s)
    parts = [(*first, part, listing.masks, recipe.data.bands) for part in chunks(listing.candidates, CHUNK)]
    drawn_here = not context.parts.shared and isinstance(recipe.data.source, DrawnSource)
    for done, (good, bad) in enumerate(run_parallel(probe_chunk, parts, here=drawn_here), 1):
        samples += good
        quarantine += bad
        context.progress(min(done * CHUNK, len(listing.candidates)), len(listing.candidates), "headers read")
    return samples, quarantine
