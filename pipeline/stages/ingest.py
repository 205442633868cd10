"""Ingest: list the source, read every file's header in parallel, and give each sample its label and split."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.parallel import chunks, run_parallel
from pipeline.decode.limits import BadSample
from pipeline.feed.apart import each_apart
from pipeline.graph.plan import Context, Stage, some
from pipeline.recipe import Recipe
from pipeline.recipe.sources import DigitsSource, FolderSource, MixtureSource, MovingDigitsSource, WebDatasetSource
from pipeline.sources import SOURCES, digest, files, mixture, summary
from pipeline.sources.classes import resolve_classes
from pipeline.sources.listing import SPLITS, Candidate, Listing
from pipeline.sources.rows import BadRow, Row, number_classes
from pipeline.stages import adopt
from pipeline.stages.json_lines import write_rows
from pipeline.stages.quarantine import QUARANTINE, check_left, check_share

if TYPE_CHECKING:
    from pipeline.decode.probe import Kind, Probe

CHUNK = 64
MISSING = "missing.txt"
"""Names, a line each, of what annotations name and is not there."""
DATA = "data"
"""The fact that holds the lines which a plan shows of the data: what there is, and what is not used."""
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
    late=("data.classes",),
    outside=outside,
    news="files of more kinds are taken, one file counts once, and classes that are numbers are ordered by value",
)


def run(context: Context) -> dict[str, Any]:
    """Write `samples.jsonl`, `quarantine.jsonl` and `classes.json`; returns the counts, and the data in words."""
    recipe: Recipe = context.recipe
    source = recipe.data.source
    drawn = _draw(context, source) if isinstance(source, MovingDigitsSource | DigitsSource) else None
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
    for split in SPLITS:
        left = [row for row in samples if row["split"] == split]
        counts = dict.fromkeys(classes, 0) | Counter(name for row in left for name in row["classes"])
        check_left(split, len(left), counts, recipe.task.label_sets, table)
        if missed := [name for name in classes if not counts[name]]:
            what = "not in val, so not measured" if split == "val" else "not in train, so not learned"
            context.progress.say(f"ingest: {what}: {some([repr(name) for name in missed])}")

    summed_up = summary.of_samples([(row["split"], row["classes"]) for row in samples], classes)
    _tell(context, [summed_up])
    numbers = {name: number for number, name in enumerate(classes)}
    for row in samples:
        number_classes(row, numbers, recipe.task.label_sets)
        if drawn:
            row["path"] = f"{DRAWN}/{row['key']}"
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
        DATA: [summed_up, *summary.of_others(listing), *why],
    }


def _tell(context: Context, lines: Sequence[str]) -> None:
    for line in lines:
        context.progress.say(f"ingest: {line}")


def look(recipe: Recipe, drawn: Path | None = None) -> Listing:
    """List what the source holds, by names alone. Raises where no model can be trained on it or measured.

    `drawn` is the folder of a source that draws its files.
    """
    source, share = recipe.data.source, recipe.data.split.val
    if drawn:
        source = FolderSource(kind="folder", path=str(drawn))
    found = SOURCES[source.kind].look(source, recipe.task, share)
    listing = resolve_classes(found, recipe.data.classes, recipe.task.label_sets)
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
    share = recipe.data.split.val
    classes = {split: {n for c in listing.candidates if c.split == split for n in c.labels} for split in SPLITS}
    if isinstance(recipe.data.source, MixtureSource):
        for name in recipe.data.source.of:
            mixture.check_trained(name, [one for one in listing.candidates if one.source == name])
    names, count = classes["train"] | classes["val"], len(listing.candidates)
    if not names:
        raise ZoetropeError(f"{listing.where} gives no sample a label. It should hold {listing.layout}.")
    if len(names) == 1 and not recipe.task.label_sets:
        raise ZoetropeError(
            f"{listing.where} has one class only, {min(names)!r}, and a classifier needs two. "
            f"It should hold {listing.layout}."
        )
    for split in SPLITS:
        if not any(candidate.split == split for candidate in listing.candidates):
            raise ZoetropeError(
                f"data.split.val: a share of {share:g} leaves no sample of {count} in the split {split!r}. "
                f"Add samples, change data.split.val, or {listing.own_split}."
                if listing.held_out_by_ratio
                else f"{listing.where}: no sample of the split {split!r} is left that can be used."
            )
    if (untrained := sorted(classes["val"] - classes["train"])) and not recipe.task.label_sets:
        found = some([repr(name) for name in untrained])
        raise ZoetropeError(
            f"data.split.val: all samples of class {found} fell to val, and none to train. "
            f"Add samples, change data.split.val, or {listing.own_split}."
            if listing.held_out_by_ratio
            else f"{listing.where}: val has samples of class {found}, and train has none. "
            "Is the name spelt alike in both? Else move some samples to train, or remove the class."
        )


def draw(source: MovingDigitsSource | DigitsSource, folder: Path, numbers: range) -> None:
    """Let a drawing source write its files `numbers` into a folder."""
    from pipeline.sources import digits

    if isinstance(source, MovingDigitsSource):
        digits.draw_clips(folder, numbers, source.size_px, source.frames)
    else:
        digits.draw_images(folder, numbers, source.size_px)


def _draw(context: Context, source: MovingDigitsSource | DigitsSource) -> Path:
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
    parts = [(recipe.task.modality, recipe.feed.timeout_s, part) for part in chunks(listing.candidates, CHUNK)]
    drawn_here = not context.parts.shared and isinstance(recipe.data.source, MovingDigitsSource | DigitsSource)
    for done, (good, bad) in enumerate(run_parallel(probe_chunk, parts, here=drawn_here), 1):
        samples += good
        quarantine += bad
        context.progress(min(done * CHUNK, len(listing.candidates)), len(listing.candidates), "headers read")
    return samples, quarantine


def probe_chunk(modality: "Kind", timeout_s: float, part: Sequence[Candidate]) -> tuple[list[Row], list[BadRow]]:
    """Probe rows of the readable files, and quarantine rows of the others, one that takes
    longer than `timeout_s` too.
    """
    good: list[Row] = []
    bad: list[BadRow] = []
    limit_s = timeout_s + files.away_s(path for one in part for path in (one.path, *one.members.values()))
    headers = each_apart(header_of, [(one, modality) for one in part], limit_s)
    for one, header in zip(part, headers, strict=True):
        if isinstance(header, BadSample):
            bad.append({"source": one.key, "stage": "ingest", "reason": header.reason})
        elif isinstance(header, ZoetropeError):
            raise header
        else:
            good.append(_row(one, header))
    return good, bad


def _row(one: Candidate, header: "Probe") -> Row:
    row: Row = {
        "path": one.path,
        "key": one.key,
        "classes": one.labels,
        "split": one.split,
        "width": header.width,
        "height": header.height,
        "frames": header.frames,
        "fps": header.fps,
        "duration_s": header.duration_s,
        "bytes": header.bytes,
    }
    if one.start_s is not None or one.end_s is not None:
        row["start_s"], row["end_s"] = one.start_s, one.end_s
    if one.source is not None:
        row["source"] = one.source
    if one.frames:
        row["frame_folder"] = asdict(one.frames)
    if one.members:
        row["members"] = dict(one.members)
    if one.objects is not None:
        row["objects"] = dict(one.objects)
    return row


def header_of(candidate: Candidate, modality: "Kind") -> "Probe":
    """Read what the header says of a sample, and look at those of its companions. BadSample when it cannot be one."""
    from pipeline.decode.members import MEMBERS, naming

    header = _own_header(candidate, modality)
    for name, path in candidate.members.items():
        with naming(name), files.opened(path) as file:
            MEMBERS[name].probe(file, header.width, header.height)
    return header


def _own_header(candidate: Candidate, modality: "Kind") -> "Probe":
    from pipeline.decode.cut import probe_segment
    from pipeline.decode.frames import probe_frames
    from pipeline.decode.probe import check_suffix, probe_file

    segment = (candidate.start_s, candidate.end_s)
    if candidate.frames:
        made = probe_frames(Path(candidate.path), candidate.frames.pattern, candidate.frames.fps)
        return made if segment == (None, None) else probe_segment(made, *segment)
    check_suffix(files.suffix(candidate.path), modality)
    with files.opened(candidate.path) as file:
        if segment == (None, None):
            return probe_file(file, modality)
        return probe_segment(probe_file(file, modality, whole=False), *segment)
