"""Shard: transcode every sample once, wholly checked, and pack them into WebDataset tars, a Ray task a shard."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Files
from pipeline.base.keyed import key_bits
from pipeline.cluster.parallel import chunks, run_parallel
from pipeline.feed.apart import each_apart
from pipeline.graph.plan import Context, Stage
from pipeline.recipe import Recipe
from pipeline.recipe.flow import flow_folders, placed
from pipeline.recipe.sources import WebDatasetSource
from pipeline.sources import masks, path_or_url
from pipeline.sources.class_folders import tree_digest
from pipeline.sources.listing import splits_in
from pipeline.sources.rows import BadRow, Row, label_of
from pipeline.stages import adopt
from pipeline.stages.json_lines import read_rows, write_rows
from pipeline.stages.quarantine import QUARANTINE, check_left, check_share
from pipeline.store import Parts

if TYPE_CHECKING:
    from pipeline.decode.transcode import Transcoded
    from pipeline.decode.values import Values
    from pipeline.shards.writer import ShardInfo, StoredSample


def outside(values: Mapping[str, Any]) -> str | None:
    """Return a digest of files of flow that lie elsewhere than their videos, which the source's listing has not."""
    folders = [Path(folder) for folder in flow_folders(values)]
    if gone := [folder for folder in folders if not folder.is_dir()]:
        raise ZoetropeError(
            f"shard.flow: {gone[0]} is no folder; it should hold one with files of flow for each video."
        )
    return " ".join(map(tree_digest, folders)) or None


STAGE = Stage(
    name="shard",
    version=2,
    run="pipeline.stages.shard:run",
    keys=("task.kind", "data.max_bad", "shard", "seed"),
    late=("data.channels", "data.bits"),
    inputs=("ingest",),
    outside=outside,
    news="some pictures were stored on their side or white, and some videos with other frames than theirs",
)


def run(context: Context) -> dict[str, Any]:
    """Write the dataset folder; shards that an earlier attempt finished are kept."""
    from pipeline.shards.writer import write_dataset

    recipe: Recipe = context.recipe
    ingested = context.inputs["ingest"]
    classes = json.loads(ingested.file("classes.json").read_text())
    quarantine: list[BadRow] = read_rows(ingested.file(QUARANTINE))
    order: dict[str, Any] = {}
    members: Mapping[str, str] = {}
    values = masks.read(ingested.file(masks.MASKS)) if "values" in ingested.facts else {}
    if isinstance(recipe.data.source, WebDatasetSource):
        shards, order["class_excess"] = adopt.write_indices(context)
        members = recipe.data.source.members
    else:
        shards, bad = _make_shards(context, classes, values)
        quarantine += bad
    total = ingested.facts["samples"] + ingested.facts["quarantined"]
    table = context.out / QUARANTINE
    write_rows(table, quarantine)
    check_share(quarantine, total, recipe.data.max_bad, table)
    lying = values.get("") if members else None
    dataset = write_dataset(context.out, recipe.task.modality, classes, shards, recipe.task.label_sets, members, lying)
    for name, made in dataset.splits.items():
        counts = dict(zip(classes, made.class_counts, strict=True))
        check_left(name, made.samples, counts, recipe.task.label_sets, table)
        context.sha256s.update({shard.name: shard.sha256 for shard in made.shards if shard.at is None})
    return {
        **{name: split.samples for name, split in dataset.splits.items()},
        "shards": sum(len(split.shards) for split in dataset.splits.values()),
        "bytes": sum(shard.bytes for split in dataset.splits.values() for shard in split.shards),
        "quarantined": len(quarantine),
        **order,
    }


def _make_shards(
    context: Context, classes: list[str], values: Mapping[str, "Values"]
) -> tuple[dict[str, list["ShardInfo"]], list[BadRow]]:
    """Make the shards of each split, a Ray task each, and the quarantine rows of what cannot be decoded."""
    recipe: Recipe = context.recipe
    ingested = context.inputs["ingest"]
    rows: list[Row] = read_rows(ingested.file("samples.jsonl"))
    _check_cuts(recipe, rows)
    jobs = []
    shards: dict[str, list[ShardInfo]] = {split: [] for split in splits_in({row["split"] for row in rows})}
    for split in shards:
        mine = sorted((row for row in rows if row["split"] == split), key=lambda row: key_bits(recipe.seed, row["key"]))
        sources = sorted({row.get("source", "") for row in mine})  # of a mixture; a shard holds samples of one
        of_each = [
            chunks([row for row in mine if row.get("source", "") == name], recipe.shard.samples) for name in sources
        ]
        for number, part in enumerate(chain.from_iterable(of_each)):
            jobs.append((context.parts, ingested.files, split, number, part, classes, recipe, values))
    quarantine: list[BadRow] = []
    for done, (split, info, bad) in enumerate(run_parallel(make_shard, jobs), 1):
        shards[split].append(info)
        quarantine += bad
        context.progress(done, len(jobs), "shards")
    return shards, quarantine


def make_shard(
    parts: Parts,
    source: Files,
    split: str,
    number: int,
    rows: list[Row],
    classes: list[str],
    recipe: Recipe,
    values: Mapping[str, "Values"] = {},
) -> tuple[str, "ShardInfo", list[BadRow]]:
    """Make one shard of `rows`, and the quarantine rows of those that cannot be decoded.

    Not made again when finished.
    """
    from pipeline.shards.index import index_path
    from pipeline.shards.writer import ShardInfo, write_shard

    part = f"{split}-{number:06d}"
    if done := parts.finished(part):
        shard = done["shard"]
        counts = {name: tuple(shard.get(name, ())) for name in ("class_counts", "amounts")}
        return split, ShardInfo(**{**shard, **counts}), done["quarantine"]
    bad: list[BadRow] = []

    def at(path: str) -> Path | str:
        return path if path_or_url.is_url(path) else source.file(path)

    # Not sample by sample: a store that is away does not make a sample bad.
    paths = [at(row["path"]) for row in rows]
    rows = [_located(row, at) for row in rows]

    def stored() -> Iterator["StoredSample"]:
        for row, made in zip(rows, store_samples(paths, rows, classes, recipe, values), strict=True):
            if isinstance(made, ZoetropeError):
                bad.append({"source": row["key"], "stage": "shard", "reason": str(made)})
            else:
                yield made

    shard = replace(
        write_shard(parts.out, split, number, number * recipe.shard.samples, stored()), source=rows[0].get("source")
    )
    index = index_path(Path(shard.name)).as_posix()
    written = {index: shard.index_sha256, shard.name: shard.sha256} if shard.samples else {}
    parts.finish(part, written, {"shard": asdict(shard), "quarantine": bad})
    return split, shard, bad


def _located(row: Row, at: Callable[[str], Path | str]) -> Row:
    """Return the row with its companions where `at` says that they are."""
    if "members" not in row:
        return row
    return {**row, "members": {name: str(at(path)) for name, path in row["members"].items()}}


def _check_cuts(recipe: Recipe, rows: list[Row]) -> None:
    """Raise where samples must be encoded, and the recipe asks for the source's bytes."""
    made = [row["key"] for row in rows if {"start_s", "frame_folder"} & row.keys()]
    if made and not recipe.shard.video.transcode:
        raise ZoetropeError(
            f"shard.video.transcode: false stores the source's files, and {len(made)} samples are parts of videos or "
            f"folders of frames, such as {made[0]}, which have to be encoded. Set it to true."
        )


def store_samples(
    paths: Sequence[Path | str],
    rows: Sequence[Row],
    classes: list[str],
    recipe: Recipe,
    values: Mapping[str, "Values"] = {},
) -> "Iterator[StoredSample | ZoetropeError]":
    """Call `store_sample` for each row, in a process that is ended when a sample takes longer than `feed.timeout_s`.

    values: what those of masks mean, by the name of the source
    """
    members = (path for row in rows for path in row.get("members", {}).values())
    limit_s = recipe.feed.timeout_s + path_or_url.away_s(chain(map(str, paths), members))
    calls = [
        (path, row, classes, recipe, values.get(row.get("source", ""))) for path, row in zip(paths, rows, strict=True)
    ]
    return each_apart(store_sample, calls, limit_s)


def store_sample(
    path: Path | str, row: Row, classes: list[str], recipe: Recipe, values: "Values | None" = None
) -> "StoredSample":
    """Read, hash, decode wholly and, as the recipe says, encode one sample. BadSample when it cannot be decoded.

    So are its companions, and in a task of sets the classes that these show are among its own. `path` is a local path
    or a URL.
    """
    from pipeline.decode.image import check_and_store_image
    from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_VIDEO_BYTES
    from pipeline.decode.probe import open_file
    from pipeline.decode.targets import store_exactly
    from pipeline.shards.writer import StoredSample

    is_image = recipe.task.modality == "image"
    size: dict[str, Any]
    with path_or_url.local_copy(str(path), MAX_IMAGE_BYTES if is_image else MAX_VIDEO_BYTES) as file:
        if is_image:
            with open_file(file) as opened:
                content = opened.read()
            image = recipe.shard.image
            if recipe.task.answers == "image":
                data, extension, width, height = store_exactly(content, file.suffix)
            else:
                data, extension, width, height = check_and_store_image(
                    content, file.suffix, image.short_side, image.quality, image.resize, bands=recipe.data.bands
                )
            sha256 = hashlib.sha256(content).hexdigest()
            size = {"width": width, "height": height, "frames": 1, "fps": 0.0, "duration_s": 0.0}
        else:
            made, sha256 = _store_video(file, row, recipe)
            data, extension = made.data, "mp4" if recipe.shard.video.transcode else file.suffix.lower().lstrip(".")
            size = {name: getattr(made, name) for name in ("width", "height", "frames", "fps", "duration_s")}
        flow = {} if is_image else _store_flow(path, row, recipe, made)
    members, amounts = _store_members(row, (size["width"], size["height"]), len(classes), values)
    label = label_of(row)
    if isinstance(label, tuple):  # of a mask that was made smaller, small things may be gone
        label = tuple(sorted({*amounts} if values is not None else {*label, *amounts}))
    return StoredSample(
        extension=extension,
        data=data,
        label=label,
        class_name=classes[label] if isinstance(label, int) else tuple(classes[number] for number in label),
        source=row["key"],
        sha256=sha256,
        members={**members, **flow},
        amounts=amounts,
        objects=sum(amounts.values()) if "objects.json" in members else 0,
        **size,
    )


def _store_members(
    row: Row, stored_size: tuple[int, int], classes: int, values: "Values | None"
) -> tuple[dict[str, bytes], Counter[int]]:
    """Encode the companions of a sample as they are stored, and the pixels or objects of each class in them.

    stored_size: (width, height) in px of the image or video as it is stored
    values:      what those of its mask mean
    """
    from pipeline.decode.limits import MAX_IMAGE_BYTES
    from pipeline.decode.members import MEMBERS, naming
    from pipeline.decode.outlines import draw_mask
    from pipeline.decode.probe import open_file

    contents: dict[str, bytes] = {}
    for name, path in row.get("members", {}).items():
        with naming(name), path_or_url.local_copy(path, MAX_IMAGE_BYTES) as copy, open_file(copy) as file:
            contents[name] = file.read(MAX_IMAGE_BYTES + 1)
    if "objects" in row:
        contents["objects.json"] = json.dumps(row["objects"], sort_keys=True).encode()
    if "outlines" in row:
        contents["seg.png"] = draw_mask(row["outlines"]["objects"], row["width"], row["height"])
    stored: dict[str, bytes] = {}
    amounts: Counter[int] = Counter()
    for name, content in contents.items():
        with naming(name):
            source_size = (row["width"], row["height"])
            stored[name], found = MEMBERS[name].store(content, source_size, stored_size, classes, values)
        amounts.update(found)
    return stored, amounts


def _store_video(path: Path, row: Row, recipe: Recipe) -> "tuple[Transcoded, str]":
    """Encode a video, a segment of one or a folder of frames as it is stored, and the sha256 of
    the source's content.
    """
    from pipeline.decode.cut import frames_between
    from pipeline.decode.foreign import check_video
    from pipeline.decode.frames import encode_frames
    from pipeline.decode.probe import open_file
    from pipeline.decode.transcode import transcode

    video = recipe.shard.video
    target = (video.short_side, video.gop, video.crf)
    segment = (row.get("start_s"), row.get("end_s"))
    if frames := row.get("frame_folder"):
        return encode_frames(path, frames["pattern"], frames["fps"], *segment, *target)
    if segment != (None, None):
        # Not read into memory: such a video may be long, and only a part of it is wanted.
        cut = partial(frames_between, start_s=segment[0], end_s=segment[1])
        return transcode(path, *target, cut), _sha256(path, path.stat().st_mtime_ns)
    with open_file(path) as file:
        content = file.read()
    made = transcode(content, *target) if video.transcode else check_video(content)
    return made, hashlib.sha256(content).hexdigest()


def _store_flow(path: Path | str, row: Row, recipe: Recipe, video: "Transcoded") -> dict[str, bytes]:
    """Encode the flow of a stored video, where the recipe asks for it, as a member; `path` may be a URL."""
    from pipeline.decode.flow import compute_flow, encode_given
    from pipeline.decode.flow_name import FLOW
    from pipeline.decode.members import naming

    flow, gop = recipe.shard.flow, recipe.shard.video.gop
    if flow is None:
        return {}
    with naming(FLOW):
        if flow.method == "dis":
            return {FLOW: compute_flow(video, flow.limit_px, gop, flow.crf)}
        segment = (row.get("start_s"), row.get("end_s"))
        frames = row.get("frame_folder")
        places = [placed(pattern, PurePath(path), frames is not None) for pattern in (flow.x, flow.y)]
        fps = frames["fps"] if frames else video.fps
        return {FLOW: encode_given(places, fps, segment, video, flow.limit_px, gop, flow.crf)}


@lru_cache(maxsize=1024)
def _sha256(path: Path, changed_ns: int) -> str:
    """Compute the sha256 of a file that has many segments: hashed once in a process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
