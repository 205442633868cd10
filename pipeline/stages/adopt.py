"""WebDataset tars from elsewhere, read where they lie: ingest looks at every member, shard writes indices alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.parallel import run_parallel
from pipeline.graph.plan import Context
from pipeline.recipe import Recipe
from pipeline.recipe.sources import WebDatasetSource
from pipeline.sources import webdataset
from pipeline.sources.adopted import read_tar
from pipeline.sources.classes import LEFT_OUT, check_lost, named_masks, naming, notes, renamed
from pipeline.sources.listing import NEEDED, Candidate, Listing, Masks
from pipeline.sources.masks import foreground_of, masks_of
from pipeline.sources.rows import BadRow, Row
from pipeline.sources.splits import divide
from pipeline.stages.json_lines import read_rows, write_rows

TARS = "tars.jsonl"
"""Rows of at (absolute path or URL), bytes and sha256."""


def read_tars(context: Context) -> tuple[list[Row], list[BadRow], dict[str, str], int]:
    """Read rows of all samples and of all bad ones, in the order of the tars; the classes that bad ones have, each with
    a reason in words; and how many members are passed over. `tars.jsonl` is written on the way.
    """
    recipe: Recipe = context.recipe
    source = recipe.data.source
    assert isinstance(source, WebDatasetSource)
    named = webdataset.tars(source)
    splits = [split for split, urls in named.items() for _ in urls]
    masks = masks_in(recipe).get("")
    jobs = [(url, source, recipe.task, recipe.feed.timeout_s, masks) for urls in named.values() for url in urls]
    samples: list[Row] = []
    bad: list[BadRow] = []
    found: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    passed_over = 0
    for number, tar in enumerate(run_parallel(read_tar, jobs)):
        for row in tar.samples:
            row["tar"] = number
            row["split"] = splits[number]
        samples += tar.samples
        bad += tar.bad
        refused = tar.refused | refused
        found.append({"at": tar.at, "bytes": tar.bytes, "sha256": tar.sha256})
        passed_over += tar.passed_over
        context.progress(number + 1, len(jobs), "tars read")
    write_rows(context.out / TARS, found)
    return samples, bad, refused, passed_over


TARGETS = {
    "mask": ("seg.png", "masks", "mask.png"),
    "objects": ("objects.json", "objects", "boxes.json"),
    "keypoints": ("objects.json", "key points", "bodies.json"),
}
"""What models answer -> the companion that says it, in words, and what it may be called in tars."""


def masks_in(recipe: Recipe) -> dict[str, Masks]:
    """Return what the values of masks, or the classes of objects, in the tars mean, by ""; nothing in a task of labels.

    ZoetropeError where the tars have none.
    """
    source = recipe.data.source
    if recipe.task.answers not in TARGETS:
        return {}
    assert isinstance(source, WebDatasetSource)
    name, what, example = TARGETS[recipe.task.answers]
    if recipe.task.answers == "objects" and name not in source.members and "inst.png" in source.members:
        _, thing = foreground_of(source).classes
        return {"": masks_of(source.model_copy(update={"classes": {1: thing}, "ignore": []}))}
    if name not in source.members:
        raise ZoetropeError(
            f"data.source.members: names no {what}, and task.kind {recipe.task.kind} needs them. Say which member of "
            f"the tars has them, such as {{{name}: {example}}}."
        )
    return {"": masks_of(source)}


def named(
    recipe: Recipe, samples: Sequence[Row], refused: Mapping[str, str], passed_over: int
) -> tuple[list[Row], Listing]:
    """Return the samples with their classes in place of their labels and with their splits, and what the tars hold by
    these.

    ZoetropeError for a class of which all samples are refused.
    """
    source = recipe.data.source
    assert isinstance(source, WebDatasetSource)
    occurring = {label for row in samples for label in row["classes"]}
    masks = masks_in(recipe)
    own = [name for one in masks.values() for name in one.classes if name is not None]
    names = naming(occurring | refused.keys() | {*own}, recipe.data.classes)
    check_lost("data.source.urls", refused, names, occurring)
    pairs = ((row, renamed(row["classes"], names, recipe.task.label_sets)) for row in samples)
    kept: list[Row] = [{**row, "classes": classes} for row, classes in pairs if classes is not None]
    others = +Counter({LEFT_OUT: len(samples) - len(kept), "hidden or without an extension": passed_over})
    order = tuple(name for label in own if (name := names[label]) is not None)
    found = replace(listing(source, kept), others=others, notes=tuple(notes(names)))
    found = divide(replace(found, class_order=order, masks=named_masks(masks, names)), recipe.data.split)
    for row, one in zip(kept, found.candidates, strict=True):
        row["split"] = one.split
    return kept, found


def listing(source: WebDatasetSource, samples: Sequence[Row]) -> Listing:
    """Return what the tars hold."""
    return Listing(
        [Candidate(row["key"], "", tuple(row["classes"]), row["split"]) for row in samples],
        Counter(),
        held_out_by_ratio=source.val_urls is None,
        where="data.source.urls",
        layout=webdataset.LAYOUT,
        own_split="name the tars of val in data.source.val_urls",
    )


def write_indices(context: Context) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """Write the index of every tar, one a split that has samples in it: what `write_dataset` takes.

    Also how sorted by class the training samples are, since their order is not ours: `class_excess` by window.
    """
    from pipeline.shards.quality import class_excess
    from pipeline.shards.writer import ShardInfo
    from pipeline.stages.adopted_index import write_adopted

    recipe: Recipe = context.recipe
    ingested = context.inputs["ingest"]
    tars = read_rows(ingested.file(TARS))
    samples: dict[tuple[str, int], list[Row]] = {}
    for row in read_rows(ingested.file("samples.jsonl")):
        samples.setdefault((row["split"], row["tar"]), []).append(row)
    shards: dict[str, list[ShardInfo]] = {split: [] for split in NEEDED}
    objects = recipe.task.answers in ("objects", "keypoints")
    for done, ((split, tar), rows) in enumerate(sorted(samples.items()), 1):
        of_split = shards.setdefault(split, [])
        of_split.append(write_adopted(context.out, split, len(of_split), rows=rows, objects=objects, **tars[tar]))
        context.progress(done, len(samples), "indices")
    if recipe.task.label_sets:
        return shards, {}
    excess = class_excess([row["label"] for row in rows] for (split, _), rows in samples.items() if split == "train")
    return shards, {str(window): value for window, value in excess.items()}
