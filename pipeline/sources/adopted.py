"""The samples of one WebDataset tar from elsewhere: labels, sizes and places, told without decoding a picture."""

import json
import mmap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, BadSample
from pipeline.recipe.section import Modality
from pipeline.recipe.sources import WebDatasetSource
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import path_or_url
from pipeline.sources.labels import class_name
from pipeline.sources.listing import Masks
from pipeline.sources.rows import BadRow, Row

if TYPE_CHECKING:
    from pipeline.shards.tars import Member

Group = dict[str, "Member"]
"""The members of a sample, by extension."""

MAX_TAR_BYTES = 256 << 30
MAX_LABEL_BYTES = 1 << 20
MAX_DEPTH = 32
"""Keys in a label's name; Python's JSON reader has a limit of its own for what is nested."""


class _Found(NamedTuple):
    """A sample before its image or video is looked at; of its companions offset and length, by our names of them."""

    key: str
    name: str
    extension: str
    data: "Member"
    companions: dict[str, tuple[int, int]]
    classes: tuple[str, ...]


@dataclass
class Tar:
    """What one tar holds: rows of its samples with the names of their classes, rows of the bad ones.

    refused: classes that bad samples have -> the first of these and its reason, in words
    """

    at: str
    bytes: int
    sha256: str
    samples: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    passed_over: int = 0


def read_tar(
    url: str, source: WebDatasetSource, task: TaskSection, timeout_s: float, masks: Masks | None = None
) -> Tar:
    """Read one tar wholly, once: its sha256, and of every sample label, size and place; a tar without files is bad.

    So is a sample that takes longer than `timeout_s`. With `masks`, the values of these are counted, and say which
    classes a sample has. ZoetropeError, naming the tar, when it is no plain tar or a
    sample's members do not follow each other.
    """
    from pipeline.shards.file_io import sha256
    from pipeline.store.cache import adopt

    try:
        with path_or_url.local_copy(url, MAX_TAR_BYTES) as path:
            tar = Tar(url, path.stat().st_size, sha256(path))
            if not tar.bytes:
                raise ZoetropeError(f"{url}: this tar is empty.")
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                groups = _groups(tar, path)
                found = [_find(tar, key, group, content, source, task) for key, group in groups]
            _probe(tar, path, [one for one in found if one], source, task, timeout_s, masks)
            if not (tar.samples or tar.bad or tar.passed_over):
                tar.bad.append({"source": url, "stage": "ingest", "reason": "this tar is empty: it holds no file"})
            if path_or_url.is_url(url):
                with suppress(OSError, ZoetropeError):  # another disk, or a full one: then it is fetched again
                    adopt(path, tar.sha256)
    except BadSample as error:
        raise ZoetropeError(f"data.source.urls: {url}: {error.reason}.") from error
    except OSError as error:
        raise ZoetropeError(f"data.source.urls: {url} cannot be read: {error.strerror}.") from error
    return tar


def _groups(tar: Tar, path: Path) -> Iterator[tuple[str, Group]]:
    """Yield the samples of a tar, by key."""
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


def _find(
    tar: Tar, key: str, group: Group, content: mmap.mmap, source: WebDatasetSource, task: TaskSection
) -> _Found | None:
    """Read what a sample's members say before it is looked at.

    None, and a row of the bad ones, when it cannot be used.
    """
    name = f"{tar.at.rpartition('/')[2]}/{key}"
    labels: tuple[str, ...] = ()
    unlabelled = None
    try:
        labels = _labels(group, content, source, task.label_sets) if task.answers == "classes" else ()
    except BadSample as error:
        unlabelled = error
    try:
        extension = _data_extension(group, source, task.modality)
        companions = _companions(group, source)
        if unlabelled:
            raise unlabelled
    except BadSample as error:
        _refuse(tar, name, error.reason, labels)
        return None
    return _Found(name, key, extension, group[extension], companions, labels)


def _refuse(tar: Tar, name: str, reason: str, labels: tuple[str, ...]) -> None:
    tar.bad.append({"source": name, "stage": "ingest", "reason": reason})
    for label in labels:
        tar.refused.setdefault(label, f"{name}, which is refused: {reason}")


def _probe(
    tar: Tar,
    path: Path,
    found: list[_Found],
    source: WebDatasetSource,
    task: TaskSection,
    timeout_s: float,
    masks: Masks | None,
) -> None:
    """Enter rows among the samples, with sizes and frames, or among the bad ones."""
    from pipeline.decode.foreign import probe_member
    from pipeline.feed.apart import each_apart

    values = masks and masks.values
    maps = task.answers == "objects" and "inst.png" in source.members
    calls = [(path, one.data.offset, one.data.length, task.modality, one.companions, values, maps) for one in found]
    for one, header in zip(found, each_apart(probe_member, calls, timeout_s), strict=True):
        if isinstance(header, ZoetropeError):
            _refuse(tar, one.key, str(header), one.classes)
        else:
            row: Row = {
                "key": one.key,
                "name": one.name,
                "extension": one.extension,
                "offset": one.data.offset,
                "length": one.data.length,
                "classes": one.classes,
                "width": header.width,
                "height": header.height,
                "frames": header.frames,
            }
            if one.companions:
                row["companions"] = {source.members[own]: place for own, place in one.companions.items()}
            if header.values:
                row["values"] = dict(header.values)
            tar.samples.append(row)


def _companions(group: Group, source: WebDatasetSource) -> dict[str, tuple[int, int]]:
    """Return offset and length of each companion, by our names of them. BadSample when one is missing."""
    for own, name in source.members.items():
        if name not in group:
            raise BadSample(
                f"it has no {own}: no member .{name}, but .{' .'.join(sorted(group)[:5])}; see data.source.members"
            )
    return {own: (group[name].offset, group[name].length) for own, name in source.members.items()}


def _data_extension(group: Group, source: WebDatasetSource, modality: Modality) -> str:
    """Return the extension of the image or video. BadSample when there is none, or several."""
    known = IMAGE_EXTENSIONS if modality == "image" else VIDEO_EXTENSIONS
    wanted = source.extensions or [name.removeprefix(".") for name in sorted(known)]
    there = [name for name in wanted if name in group and name not in source.members.values()]
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


def _labels(group: Group, content: mmap.mmap, source: WebDatasetSource, label_sets: bool) -> tuple[str, ...]:
    """Return the names of its classes, one but for `label_sets`.

    BadSample when it has no label, or one that is none.
    """
    name, *keys = source.label.split(".", MAX_DEPTH) if source.label.startswith("json.") else [source.label]
    if name not in group:
        raise BadSample(
            f"it has no label: no member .{name}, but .{' .'.join(sorted(group)[:5])}; see data.source.label"
        )
    offset, length = group[name].offset, group[name].length
    if length > MAX_LABEL_BYTES:
        raise BadSample(f"its label .{name} has {length:,} bytes, and may have {MAX_LABEL_BYTES:,}")
    try:
        text = content[offset : offset + length].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadSample(f"its label .{name} is no text; nothing is unpickled here") from None
    if name != "json":
        return (class_name(text),)
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
    if isinstance(value, dict):
        deeper = [f"{source.label}.{key}" for key in sorted(map(str, value))[:5]]
        raise BadSample(f"its {source.label} is an object; set data.source.label to one of {', '.join(deeper)}")
    if isinstance(value, list):
        labels = tuple(sorted({class_name(one) for one in value}))
        if len(labels) != 1 and not label_sets:
            raise BadSample(f"it has {len(labels)} labels, and task.kind asks for one")
        return labels
    return (class_name(value),)
