"""Shard: transcode every sample once, wholly checked, and pack them into WebDataset tars, a Ray task a shard."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Files
from pipeline.base.keyed import key_bits
from pipeline.graph import Context, Stage
from pipeline.recipe import Recipe
from pipeline.sources.folder import SPLITS
from pipeline.stages.parallel import chunks, run_parallel
from pipeline.stages.quarantine import QUARANTINE, check_left, check_share
from pipeline.stages.rows import read_rows, write_rows
from pipeline.store import Parts

if TYPE_CHECKING:
    from pipeline.shards.writer import ShardInfo, StoredSample

STAGE = Stage(
    name="shard",
    version=1,
    run="pipeline.stages.shard:run",
    keys=("task.kind", "data.max_bad", "shard", "seed"),
    inputs=("ingest",),
)


def run(context: Context) -> dict[str, Any]:
    """Write the dataset folder; shards that an earlier attempt finished are kept."""
    from pipeline.shards.writer import write_dataset

    recipe: Recipe = context.recipe
    ingested = context.inputs["ingest"]
    rows = read_rows(ingested.file("samples.jsonl"))
    classes = json.loads(ingested.file("classes.json").read_text())
    jobs = []
    for split in SPLITS:
        mine = sorted((row for row in rows if row["split"] == split), key=lambda row: key_bits(recipe.seed, row["key"]))
        for number, part in enumerate(chunks(mine, recipe.shard.samples)):
            jobs.append((context.parts, ingested.files, split, number, part, classes, recipe))

    quarantine = read_rows(ingested.file(QUARANTINE))
    shards: dict[str, list[ShardInfo]] = {split: [] for split in SPLITS}
    for done, (split, info, bad) in enumerate(run_parallel(make_shard, jobs), 1):
        shards[split].append(info)
        quarantine += bad
        context.progress(done, len(jobs), "shards")
    total = ingested.facts["samples"] + ingested.facts["quarantined"]
    table = context.out / QUARANTINE
    write_rows(table, quarantine)
    check_share(quarantine, total, recipe.data.max_bad, table)
    dataset = write_dataset(context.out, recipe.task.modality, classes, shards)
    for name, made in dataset.splits.items():
        check_left(name, made.class_counts, classes, table)
        context.sha256s.update({shard.name: shard.sha256 for shard in made.shards})
    return {
        "train": dataset.splits["train"].samples,
        "val": dataset.splits["val"].samples,
        "shards": sum(len(split.shards) for split in dataset.splits.values()),
        "bytes": sum(shard.bytes for split in dataset.splits.values() for shard in split.shards),
        "quarantined": len(quarantine),
    }


def make_shard(
    parts: Parts,
    source: Files,
    split: str,
    number: int,
    rows: list[dict[str, Any]],
    classes: list[str],
    recipe: Recipe,
) -> tuple[str, "ShardInfo", list[dict[str, Any]]]:
    """One shard of `rows`, and the quarantine rows of those that cannot be decoded; not made again when finished."""
    from pipeline.shards.index import index_path
    from pipeline.shards.writer import ShardInfo, write_shard

    part = f"{split}-{number:06d}"
    if done := parts.finished(part):
        shard = done["shard"]
        return split, ShardInfo(**{**shard, "class_counts": tuple(shard["class_counts"])}), done["quarantine"]
    bad: list[dict[str, Any]] = []

    def stored() -> Iterator["StoredSample"]:
        for row in rows:
            path = source.file(row["path"])  # not below: a store that is away does not make a sample bad
            try:
                yield store_sample(path, row, classes, recipe)
            except ZoetropeError as error:
                bad.append({"source": row["key"], "stage": "shard", "reason": str(error)})

    shard = write_shard(parts.out, split, number, number * recipe.shard.samples, stored())
    index = index_path(Path(shard.name)).as_posix()
    files = {index: shard.index_sha256, shard.name: shard.sha256} if shard.samples else {}
    parts.finish(part, files, {"shard": asdict(shard), "quarantine": bad})
    return split, shard, bad


def store_sample(path: Path, row: dict[str, Any], classes: list[str], recipe: Recipe) -> "StoredSample":
    """Read, hash, decode wholly and, as the recipe says, encode one sample. BadSample when it cannot be decoded."""
    from pipeline.decode.image import check_and_store_image
    from pipeline.decode.probe import open_file
    from pipeline.decode.transcode import check_video, transcode
    from pipeline.shards.writer import StoredSample

    with open_file(path) as file:
        content = file.read()
    extension = path.suffix.lower().lstrip(".")
    size: dict[str, Any]
    if recipe.task.modality == "image":
        image = recipe.shard.image
        data, extension, width, height = check_and_store_image(
            content, extension, image.short_side, image.quality, image.resize
        )
        size = {"width": width, "height": height, "frames": 1, "fps": 0.0, "duration_s": 0.0}
    else:
        video = recipe.shard.video
        made = transcode(content, video.short_side, video.gop, video.crf) if video.transcode else check_video(content)
        data, extension = made.data, "mp4" if video.transcode else extension
        size = {
            "width": made.width,
            "height": made.height,
            "frames": made.frames,
            "fps": made.fps,
            "duration_s": made.duration_s,
        }
    return StoredSample(
        extension=extension,
        data=data,
        label=row["label"],
        class_name=classes[row["label"]],
        source=row["key"],
        sha256=hashlib.sha256(content).hexdigest(),
        **size,
    )
