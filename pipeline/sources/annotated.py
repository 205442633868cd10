"""What the importers share: annotations name videos by their stems, and these lie somewhere below one folder."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import VIDEO_EXTENSIONS, BadSample
from pipeline.recipe.sources import Annotations
from pipeline.sources.class_folders import is_utf8, tree_digest, walk
from pipeline.sources.frames import frame_folders
from pipeline.sources.labels import class_name
from pipeline.sources.listing import NEEDED, Candidate, FrameFolder, Listing

LAYOUT = "the videos that the annotations name, in whatever folders"
MAX_ANNOTATION_BYTES = 512 << 20


@dataclass(frozen=True)
class Name:
    """A stem that a video may have; with times where it is a longer video, of which only these are the sample."""

    stem: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Annotation:
    """One video: the names that it may have, the likeliest first, its classes, and its split."""

    names: tuple[Name, ...]
    labels: tuple[str, ...]
    split: str


def look_up(
    source: Annotations, annotations: Iterable[Annotation], others: Counter[str], class_order: Iterable[str] = ()
) -> Listing:
    """Find the videos. ZoetropeError when more than `max_missing` of them are not there, or none of a split.

    A video that is named again with the same classes and split counts once; where these differ it is refused, since no
    one knows which is right.
    """
    root = Path(source.path).resolve()
    videos = _videos(source, root)
    frames = FrameFolder(source.fps, source.pattern) if source.fps else None
    listed = list(annotations)
    folders = {_plain(label) for one in listed for label in one.labels}
    found: dict[str, Candidate] = {}
    refused: dict[str, str] = {}
    classes: list[tuple[str, str]] = []
    missing: list[str] = []
    total, there = Counter[str](), Counter[str]()
    for one in listed:
        total[one.split] += 1
        names = ((name, _at(videos, name.stem, one.labels, folders)) for name in one.names)
        hit = next(((name, key) for name, key in names if key), None)
        if hit is None:
            missing.append(one.names[0].stem)
            continue
        there[one.split] += 1
        name, key = hit
        path = str(root / key)
        if name.start_s is not None:
            key = f"{key}#{name.start_s:g}-{name.end_s:g}"
        try:
            labels = tuple(class_name(label) for label in one.labels)
            candidate = Candidate(key, path, labels, one.split, name.start_s, name.end_s, frames)
        except BadSample as error:
            refused[key] = error.reason
            continue
        classes += [(key, label) for label in labels]
        before = found.setdefault(key, candidate)
        if before is not candidate and before == candidate:
            others["named twice"] += 1
        elif before != candidate:
            refused.setdefault(key, f"it is named twice, as {_what(before)} and as {_what(candidate)}")
    _check(source, root, missing, total, there)
    good = sorted((one for key, one in found.items() if key not in refused), key=lambda candidate: candidate.key)
    learned = {label for candidate in good for label in candidate.labels}
    return Listing(
        good,
        others,
        held_out_by_ratio=False,
        where=f"data.source.path: {root}",
        layout=LAYOUT,
        own_split="",
        refused=refused,
        missing=tuple(sorted(missing)),
        class_order=_numbering(class_order),
        lost={
            label: f"{key}, which is refused: {refused[key]}"
            for key, label in reversed(classes)
            if key in refused and label not in learned
        },
    )


def _numbering(names: Iterable[str]) -> tuple[str, ...]:
    try:
        return tuple(class_name(name) for name in names)
    except BadSample as error:
        raise wrong(f"its list of classes has one that is none: {error.reason}") from error


def _what(candidate: Candidate) -> str:
    return f"{', '.join(map(repr, candidate.labels)) or 'of no class'} in {candidate.split}"


def digest(source: Annotations, files: Iterable[Path]) -> str:
    """Hash the annotations' content, and what lies below `path` by size and time of change."""
    known = hashlib.sha256(tree_digest(Path(source.path), LAYOUT).encode())
    for path in files:
        known.update(hashlib.sha256(read(path)).digest())
    return known.hexdigest()


def read(path: Path) -> bytes:
    """Read an annotation file's content. ZoetropeError when it cannot be read or is too large to be one."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ANNOTATION_BYTES + 1)
    except OSError as error:
        raise wrong(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_ANNOTATION_BYTES:
        raise wrong(f"{path} has more than {MAX_ANNOTATION_BYTES >> 20} MiB")
    return content


def text(path: Path) -> str:
    """Read the same as text."""
    try:
        return read(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise wrong(f"{path} is no text in UTF-8") from None


def json_of(path: Path, kind: type) -> Any:
    """Read the same as JSON, whose outermost value is a `kind`: dict or list."""
    try:
        content = json.loads(text(path))
    except (ValueError, RecursionError):
        raise wrong(f"{path} is no valid JSON") from None
    if not isinstance(content, kind):
        raise wrong(f"{path} should hold a JSON {'object' if kind is dict else 'list'}")
    return content


def wrong(what: str) -> ZoetropeError:
    """Make the error for annotations."""
    return ZoetropeError(f"data.source.annotations: {what}.")


def files(annotations: str, pattern: str, what: str) -> list[Path]:
    """Return the files of that pattern in the annotations' folder, sorted.

    ZoetropeError, with what is there, for none.
    """
    folder = Path(annotations)
    if not folder.is_dir():
        raise wrong(f"{folder} is no folder; it should hold {what}")
    found = sorted(folder.glob(pattern))
    if not found:
        names = sorted(path.name for path in folder.iterdir())[:8]
        raise wrong(f"{folder} has no {pattern}; it should hold {what}. It holds {', '.join(names) or 'nothing'}")
    return found


def _videos(source: Annotations, root: Path) -> dict[str, list[str]]:
    """Map each stem -> the videos of that stem, by relative path."""
    if source.fps:
        keys, _ = frame_folders(root, source.pattern, LAYOUT)
        stems = [key.rpartition("/")[2] for key in keys]
    else:
        keys = [key for key, _ in walk(root, LAYOUT) if Path(key).suffix.lower() in VIDEO_EXTENSIONS and is_utf8(key)]
        stems = [Path(key).stem for key in keys]
    videos: dict[str, list[str]] = {}
    for stem, key in zip(stems, keys, strict=True):
        videos.setdefault(normalize("NFC", stem), []).append(key)
    return videos


def _at(videos: dict[str, list[str]], stem: str, labels: Sequence[str], folders: Set[str]) -> str | None:
    """Return the video of that stem; of several the one in the folder of its class.

    `folders` are those of all classes: a video that lies in one of another class is another video of that name.
    """
    elsewhere = None
    for key in videos.get(normalize("NFC", stem), []):
        above = [name for name in map(_plain, key.split("/")[:-1]) if name in folders]
        if above and above[-1] in map(_plain, labels):
            return key
        if not above:
            elsewhere = elsewhere or key
    return elsewhere


def _plain(name: str) -> str:
    """Return a name with blanks; class folders are often written with underscores."""
    return normalize("NFC", name).replace("_", " ").replace("-", " ").lower().strip()


def _check(source: Annotations, root: Path, missing: list[str], total: Counter[str], there: Counter[str]) -> None:
    count = sum(total.values())
    if not count:
        raise wrong(f"{source.annotations} names no video")
    kind = "folders of frames" if source.fps else f"files of {', '.join(sorted(VIDEO_EXTENSIONS))}"
    if len(missing) > source.max_missing * count:
        share = math.ceil(1000 * len(missing) / count) / 1000
        accept = f"or go on with what is there: data.source.max_missing={share:g}" if share < 1 else "mend the path"
        raise ZoetropeError(
            f"data.source.path: {len(missing):,} of {count:,} videos that {source.annotations} names are not below "
            f"{root} as {kind}, such as {', '.join(sorted(missing)[:3])}; data.source.max_missing = "
            f"{source.max_missing:g} allows {int(source.max_missing * count):,}. Fetch them, {accept}."
        )
    for split in NEEDED:
        if not there[split]:
            why = f"none of the {total[split]:,} that are named is there" if total[split] else "none is named"
            raise ZoetropeError(
                f"data.source.path: {root} has no video of the split {split!r} of {source.annotations}: {why}."
            )
