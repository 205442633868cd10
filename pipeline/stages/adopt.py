"""WebDataset tars from elsewhere, read where they lie: ingest looks at every member, shard writes indices alone."""

import json
import mmap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, BadSample
from pipeline.graph import Context
from pipeline.recipe import Recipe
from pipeline.recipe.schema import Task
from pipeline.recipe.section import Modality
from pipeline.recipe.sources import WebDatasetSource
from pipeline.sources import files, webdataset
from pipeline.sources.listing import SPLITS, Candidate, Listing, held_out
from pipeline.stages.parallel import run_parallel
from pipeline.stages.rows import read_rows, write_rows

if TYPE_CHECKING:
    from pipeline.shards.tars import Member

Row = dict[str, Any]
Group = dict[str, "Member"]
"""The members of a sample, by extension."""

TARS = "tars.jsonl"
"""Rows of at (absolute path or URL), bytes and sha256."""
MAX_TAR_BYTES = 256 << 30
MAX_LABEL_BYTES = 1 << 20
MAX_DEPTH = 32
"""Keys in a label's name; Python's JSON reader has a limit of its own for what is nested."""


@dataclass
class Tar:
    """What one tar holds: rows of its samples with the names of their classes, rows of the bad ones."""

    at: str
    bytes: int
    sha256: str
    samples: list[Row] = field(default_factory=list)
    bad: list[Row] = field(default_factory=list)
    passed_over: int = 0


def read_tars(context: Context) -> tuple[list[Row], list[Row]]:
    """Rows of all samples and of all bad ones, in the order of the tars; `tars.jsonl` is written on the way."""
    recipe: Recipe = context.recipe
    source = recipe.data.source
    assert isinstance(source, WebDatasetSource)
    named = webdataset.tars(source)
    splits = [split for split, urls in named.items() for _ in urls]
    jobs = [(url, source, recipe.task) for urls in named.values() for url in urls]
    samples: list[Row] = []
    bad: list[Row] = []
    found: list[Row] = []
    passed_over = 0
    for number, tar in enumerate(run_parallel(read_tar, jobs)):
        for row in tar.samples:
            chosen = splits[number] or ("val" if held_out(row["key"], recipe.data.split.val) else "train")
            samples.append({**row, "tar": number, "split": chosen})
        bad += tar.bad
        found.append({"at": tar.at, "bytes": tar.bytes, "sha256": tar.sha256})
        passed_over += tar.passed_over
        context.progress(number + 1, len(jobs), "tars read")
    if passed_over:
        context.progress.say(
            f"ingest: members passed over, as they are hidden or without an extension: {passed_over:,}"
        )
    write_rows(context.out / TARS, found)
    return samples, bad


def read_tar(url: str, source: WebDatasetSource, task: Task) -> Tar:
    """One tar, wholly read once: its sha256, and of every sample label, size and place.

    ZoetropeError, naming the tar, when it is no plain tar or a sample's members do not follow each other.
    """
    from pipeline.shards.files import sha256
    from pipeline.store.cache import adopt

    try:
        with files.local_copy(url, MAX_TAR_BYTES) as path:
            tar = Tar(url, path.stat().st_size, sha256(path))
            if tar.bytes:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    for key, group in _groups(tar, path):
                        _add(tar, key, group, content, source, task)
            if files.is_url(url):
                with suppress(OSError, ZoetropeError):  # another disk, or a full one: then it is fetched again
                    adopt(path, tar.sha256)
    except BadSample as error:
        raise ZoetropeError(f"data.source.urls: {url}: {error.reason}.") from error
    except OSError as error:
        raise ZoetropeError(f"data.source.urls: {url} cannot be read: {error.strerror}.") from error
    return tar


def _groups(tar: Tar, path: Path) -> Iterator[tuple[str, Group]]:
    """The samples of a tar, by key."""
    from pipeline.shards.tars import key_and_extension, members

    before, group, seen = "", Group(), set[str]()
    with path.open("rb") as file:
        for member in members(file, tar.at):
            parts = key_and_extension(member.name)
            if parts is None:
                tar.passed_over += 1
                continue
            key, extension = parts
            if key != before:
                if group:
                    yield before, group
                if key in seen:
                    raise ZoetropeError(
                        f"{tar.at}: the members of the key {key!r} do not follow each other; {member.name!r} comes "
                        "after those of other keys, and WebDataset reads it as a sample of its own. Sort the tar's "
                        "members by name and pack it again."
                    )
                before, group = key, Group()
                seen.add(key)
            if extension in group:
                raise ZoetropeError(
                    f"{tar.at}: the key {key!r} has two members .{extension}, which differ in upper and lower case."
                )
            group[extension] = member
    if group:
        yield before, group


def _add(tar: Tar, key: str, group: Group, content: mmap.mmap, source: WebDatasetSource, task: Task) -> None:
    from pipeline.decode.foreign import probe_foreign

    name = f"{tar.at.rpartition('/')[2]}/{key}"
    try:
        extension = _data_extension(group, source, task.modality)
        labels = _labels(group, content, source)
        if len(labels) != 1 and not task.multilabel:
            raise BadSample(f"it has {len(labels)} labels, and task.kind asks for one")
        member = group[extension]
        found = probe_foreign(content[member.offset : member.offset + member.length], task.modality)
    except BadSample as error:
        tar.bad.append({"source": name, "stage": "ingest", "reason": error.reason})
        return
    tar.samples.append(
        {
            "key": name,
            "name": key,
            "extension": extension,
            "offset": member.offset,
            "length": member.length,
            "classes": labels,
            "width": found.width,
            "height": found.height,
            "frames": found.frames,
        }
    )


def _data_extension(group: Group, source: WebDatasetSource, modality: Modality) -> str:
    """The extension of the image or video. BadSample when there is none, or several."""
    known = IMAGE_EXTENSIONS if modality == "image" else VIDEO_EXTENSIONS
    wanted = source.extensions or [name.removeprefix(".") for name in sorted(known)]
    there = [name for name in wanted if name in group]
    if len(there) == 1:
        return there[0]
    if there:
        raise BadSample(f"it has several {modality}s, .{' .'.join(there)}; say which: data.source.extensions")
    has = f"it has .{' .'.join(sorted(group)[:5])}"
    if any(name.endswith(tuple(f".{one}" for one in wanted)) for name in group):
        raise BadSample(
            f"no member is the {modality}: {has}, since WebDataset ends a key at the first dot of a file's name; "
            "rename the files, or name such an extension in data.source.extensions"
        )
    raise BadSample(f"no member is the {modality}: {has}; data.source.extensions says which it is")


def _labels(group: Group, content: mmap.mmap, source: WebDatasetSource) -> tuple[str, ...]:
    """The names of its classes. BadSample when it has no label, or one that is none."""
    name, *keys = [source.label] if not source.label.startswith("json.") else source.label.split(".", MAX_DEPTH)
    if name not in group:
        raise BadSample(
            f"it has no label: no member .{name}, but .{' .'.join(sorted(group)[:5])}; see data.source.label"
        )
    offset, length = group[name].offset, group[name].length
    if length > MAX_LABEL_BYTES:
        raise BadSample(f"its label .{name} has {length:,} bytes, and may have {MAX_LABEL_BYTES:,}")
    try:
        text = content[offset : offset + length].decode()
    except UnicodeDecodeError:
        raise BadSample(f"its label .{name} is no text; nothing is unpickled here") from None
    if not keys:
        return (_name(text.strip()),)
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise BadSample("its .json is no JSON") from None
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            has = (
                f"but {', '.join(sorted(map(str, value))[:5])}" if isinstance(value, dict) else "and is no object there"
            )
            raise BadSample(f"its .json has no key {key!r}, {has}; see data.source.label")
        value = value[key]
    if isinstance(value, list):
        return tuple(sorted({_name(one) for one in value}))
    return (_name(value),)


def _name(value: Any) -> str:
    """A class by its number or its name."""
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        name = str(value).strip()
        if len(name) <= 200 and name.isprintable():
            return name
    raise BadSample(f"its label is no class: {str(value)[:40]!r}")


def listing(source: WebDatasetSource, samples: Sequence[Row]) -> Listing:
    """What the tars hold; classes that are all numbers keep the order of these."""
    labels = {name for row in samples for name in row["classes"]}
    numbered = all(label.isdecimal() for label in labels)
    return Listing(
        [Candidate(row["key"], "", tuple(row["classes"]), row["split"]) for row in samples],
        Counter(),
        held_out_by_ratio=source.val_urls is None,
        where="data.source.urls",
        layout=webdataset.LAYOUT,
        own_split="name the tars of val in data.source.val_urls",
        class_order=tuple(sorted(labels, key=int)) if numbered else (),
    )


def write_indices(context: Context) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """The index of every tar, one a split that has samples in it: what `write_dataset` takes.

    Also how sorted by class the training samples are, since their order is not ours: `class_excess` by window.
    """
    from pipeline.shards.adopted import write_adopted
    from pipeline.shards.quality import class_excess
    from pipeline.shards.writer import ShardInfo

    recipe: Recipe = context.recipe
    ingested = context.inputs["ingest"]
    tars = read_rows(ingested.file(TARS))
    samples: dict[tuple[str, int], list[Row]] = {}
    for row in read_rows(ingested.file("samples.jsonl")):
        samples.setdefault((row["split"], row["tar"]), []).append(row)
    shards: dict[str, list[ShardInfo]] = {split: [] for split in SPLITS}
    for done, ((split, tar), rows) in enumerate(sorted(samples.items()), 1):
        made = write_adopted(context.out, split, len(shards[split]), rows=rows, **tars[tar])
        shards[split].append(made)
        context.progress(done, len(samples), "indices")
    if recipe.task.multilabel:
        return shards, {}
    excess = class_excess([row["label"] for row in rows] for (split, _), rows in samples.items() if split == "train")
    return shards, {str(window): value for window, value in excess.items()}
