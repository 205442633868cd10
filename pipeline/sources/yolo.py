"""YOLO's annotations: a text file an image, with a line an object, and a YAML file that names the classes."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.base.plain_yaml import parse_yaml
from pipeline.decode.limits import IMAGE_EXTENSIONS, BadSample
from pipeline.recipe.bodies import Skeleton
from pipeline.recipe.object_sources import YoloSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.images import SPLIT, of_split, present
from pipeline.sources.joints import Reading, body_of, reading, reading_of
from pipeline.sources.listing import SPELT, Listing
from pipeline.sources.path_or_url import marks, read_capped
from pipeline.sources.pictures import (
    MAX_NAMES_BYTES,
    Found,
    beside,
    finite,
    listed_names,
    pictures,
    read_one,
)
from pipeline.sources.things import Thing, as_corners, extent, objects_of

LAYOUT = "images/ and labels/ with a text file of the same name for each image"
ROUNDING = 1e-6
"""Of shares, which have six digits as a rule."""
COLUMNS = 5
YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Place:
    """Pictures of a split: key -> the picture and its text file."""

    split: str
    files: dict[str, tuple[Path, Path]]


def look(source: YoloSource, task: TaskSection, split: Split) -> Listing:
    """List the images, each with the objects of its text file. ZoetropeError where no image has one."""
    found = Found()
    posed = body_of(task) is not None
    places, names = _of_yaml(source, found, posed) if source.path.endswith(YAML) else _of_folders(source, found)
    found.classes = names
    body = body_of(task)
    read_as = _reading(source, body) if body else None
    by_ratio = "val" not in {place.split for place in places}
    lacking = total = twice = 0
    listed: dict[Path, str] = {}
    for place in places:
        for key, (picture, notes) in place.files.items():
            total += 1
            if (before := listed.setdefault(picture, place.split)) != place.split:
                raise ZoetropeError(
                    f"data.source.path: {picture} is named for {before} and for {place.split}: name it for one of them."
                )
            things: list[Thing] = []
            if notes.is_file():
                try:
                    things, again = said_in(read_one(notes), list(names), read_as)
                    twice += again
                except BadSample as error:
                    found.refused[key] = error.reason
                    continue
            else:
                lacking += 1
            own = "" if by_ratio and place.split != "test" else place.split
            found.enter(key, picture, own, objects_of(things, None, "centre", True, len(body.joints) if body else 0))
    if total and lacking == total:
        _, at = next(iter(places[0].files.values()))
        raise ZoetropeError(
            f"data.source.labels: none of {total:,} images has a text file, such as {at}. Say where they are, or lay "
            f"them so: {LAYOUT}."
        )
    if lacking:
        found.notes.append(f"{lacking:,} of {total:,} images have no text file: they show no object")
    if twice:
        found.notes.append(f"{twice:,} lines say the same object of a picture again: they count once")
    return found.listing(source.path, by_ratio, LAYOUT, "name the images of train and of val")


def digest(source: YoloSource) -> str:
    """Hash names of classes, and pictures and text files by size and time of change."""
    places, names = _of_yaml(source, Found()) if source.path.endswith(YAML) else _of_folders(source, Found())
    marked = marks(str(path) for place in places for pair in place.files.values() for path in pair)
    known = [*names]
    for place in places:
        for key, pair in place.files.items():
            known += [place.split, key, *(marked[str(path)] for path in pair)]
    return hashlib.sha256("\0".join(known).encode()).hexdigest()


def said_in(content: bytes, names: Sequence[str], read_as: Reading | None = None) -> tuple[list[Thing], int]:
    """Read the objects of a text file, boxes and polygons as shares of the picture, and how many lines say one again.

    read_as: of key points, which of them the body's joints are; a line then has these behind its box.
    BadSample, with the line, for what is none: values beyond 0 to 1, other columns, classes that have no name.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadSample("its annotations are no text") from None
    things: dict[tuple[Any, ...], Thing] = {}
    count = 0
    for number, line in enumerate(lines, 1):
        if words := line.split():
            count += 1
            try:
                thing = _thing(words, names) if read_as is None else _posed(words, names, read_as)
            except BadSample as error:
                raise BadSample(f"line {number} of its annotations: {error.reason}") from error
            things.setdefault((thing.name, thing.box), thing)
    return list(things.values()), count - len(things)


def _thing(words: Sequence[str], names: Sequence[str]) -> Thing:
    number, *shares = (finite(word, "a number") for word in words)
    if number != int(number) or number < 0:
        raise BadSample(f"a class is a whole number from 0, and {words[0]} is none")
    if number >= len(names):
        hint = ". Are the classes counted from 1?" if number == len(names) else ""
        raise BadSample(f"its class is {number:.0f}, and the {len(names)} names have 0 to {len(names) - 1}{hint}")
    is_polygon = len(words) > COLUMNS
    if len(words) < COLUMNS or (is_polygon and (len(shares) % 2 or len(shares) < 6)):
        raise BadSample(
            f"it has {len(words)} columns; a box has 5, class cx cy w h, and a polygon 7 or more, an odd number"
        )
    if beyond := [share for share in shares if not -ROUNDING <= share <= 1 + ROUNDING]:
        px = ". Are these pixels? Divide them by the picture's width and height" if max(beyond) > 2 else ""
        raise BadSample(f"{beyond[0]:g} is no share of the picture, from 0 to 1{px}")
    name = names[int(number)]
    if is_polygon:
        return Thing(name, extent(zip(shares[::2], shares[1::2], strict=True)), outline=[shares])
    x0, y0, x1, y1 = as_corners(np.array([shares]), "centre")[0].tolist()
    return Thing(name, (x0, y0, x1, y1))


def _posed(words: Sequence[str], names: Sequence[str], read_as: Reading) -> Thing:
    """Read a box and behind it key points: x, y and v each, or x and y alone, where 0, 0 is none."""
    count, numbers = read_as.given, [finite(word, "a number") for word in words[COLUMNS:]]
    if len(numbers) == 2 * count:
        numbers = [
            number
            for x, y in zip(numbers[::2], numbers[1::2], strict=True)
            for number in (x, y, 2.0 if (x, y) != (0, 0) else 0.0)
        ]
    if len(numbers) != 3 * count:
        raise BadSample(
            f"it has {len(words)} columns; with {count} key points it is {COLUMNS + 3 * count}, class cx cy w h and x "
            f"y v each, or {COLUMNS + 2 * count} without v"
        )
    return _thing(words[:COLUMNS], names)._replace(keypoints=read_as(numbers))


def _reading(source: YoloSource, body: Skeleton) -> Reading:
    """Return which of the key points of lines are the body's joints: by the YAML's `kpt_shape`, else in its order."""
    where = f"data.source.path: {source.path}"
    if not source.path.endswith(YAML):
        return reading_of(len(body.joints), body, where)
    said = _parsed(Path(source.path).resolve())
    shape, joints = said.get("kpt_shape"), said.get("kpt_names")
    if not isinstance(shape, list) or not shape or not isinstance(shape[0], int):
        raise ZoetropeError(f"{where} has no kpt_shape, such as [17, 3], so it has no key points.")
    joints = next(iter(joints.values()), None) if isinstance(joints, dict) else joints
    return reading(joints, body, where) if isinstance(joints, list) and joints else reading_of(shape[0], body, where)


def _of_folders(source: YoloSource, found: Found) -> tuple[list[Place], dict[str, None]]:
    """Return the pictures of the folder, or of that of each split, and the classes."""
    given = {"path": source.path} | ({"labels": source.labels} if source.labels else {})
    if source.labels and (SPLIT in source.path) != (SPLIT in source.labels):
        has, lacks = ("path", "labels") if SPLIT in source.path else ("labels", "path")
        raise ZoetropeError(f"data.source.{lacks}: has no {SPLIT}, and data.source.{has} has; write it in both.")
    places = []
    names = listed_names(source.classes)
    for part in present(given):
        at = of_split(given, part)
        root = Path(at["path"]).resolve()
        labels = Path(at["labels"]).resolve() if "labels" in at else _labels(root)
        prefix = f"{part}/" if part else ""
        listed = labels / "classes.txt"
        if not names and listed.is_file():
            names = listed_names(str(listed))
        files = {}
        for stem, several in pictures(root, LAYOUT, found.others, (".txt",)).items():
            for name in several:
                files[prefix + name] = (root / name, labels / f"{stem}.txt")
        _count_lone(labels, files.values(), found)
        places.append(Place(part, files))
    if not names:
        raise ZoetropeError(
            "data.source.classes: is not set, and YOLO's files have numbers of classes alone. Name them in their "
            "order, or set data.source.path to the data set's YAML file."
        )
    return places, names


def _labels(images: Path) -> Path:
    """Return the folder of the text files of a folder of images: `labels` for the last `images` in its path."""
    parts = list(images.parts)
    at = next((i for i in range(len(parts) - 1, 0, -1) if parts[i] == "images"), None)
    return images if at is None else Path(*parts[:at], "labels", *parts[at + 1 :])


def _count_lone(labels: Path, used: Iterable[tuple[Path, Path]], found: Found) -> None:
    if labels.is_dir():
        there = {labels / name for name in beside(labels, ".txt", LAYOUT).values() if name != "classes.txt"}
        if lone := len(there - {notes for _, notes in used}):
            found.others["text files of no image"] += lone


def _parsed(path: Path) -> dict[str, Any]:
    try:
        content = read_capped(str(path), MAX_NAMES_BYTES, "data.source.path: the file").decode("utf-8-sig")
        said = parse_yaml(content)
    except (ValueError, UnicodeDecodeError) as error:
        raise ZoetropeError(f"data.source.path: {path} cannot be read: {error}.") from error
    if not isinstance(said, dict):
        raise ZoetropeError(f"data.source.path: {path} has no keys such as train, val and names.")
    return said


def _of_yaml(source: YoloSource, found: Found, posed: bool = True) -> tuple[list[Place], dict[str, None]]:
    """Return the pictures of each split as the YAML file says, and the classes.

    posed: whether lines may have key points
    """
    path = Path(source.path).resolve()
    said = _parsed(path)
    if "kpt_shape" in said and not posed:
        raise ZoetropeError(
            f"data.source.path: {path} has key points (kpt_shape), and lines of boxes have none; set "
            "task.kind=keypoints."
        )
    names = listed_names(source.classes) or listed_names(_names(said, path))
    root = path.parent / str(said.get("path") or ".")
    root = (root if root.is_dir() else path.parent).resolve()
    places: list[Place] = []
    for split, spelt in SPELT.items():
        key = next((one for one in spelt if said.get(one)), None)
        if key is None:
            continue
        entries = said[key] if isinstance(said[key], list) else [said[key]]
        at = [_there(str(entry), root, path.parent) for entry in entries]
        if absent := [entry for entry, one in zip(entries, at, strict=True) if one is None]:
            if split == "train":
                raise ZoetropeError(f"data.source.path: {path} has train: {absent[0]}, which is not below {root}.")
            found.notes.append(f"{path.name} has {key}: {absent[0]}, which is not there: {_instead(split)}")
            continue
        files = _files([one for one in at if one], root, found)
        if files and any(files == place.files for place in places):
            found.notes.append(f"{path.name} has the same images for train and for {key}: {_instead(split)}")
            continue
        places.append(Place(split, files))
    if not places:
        raise ZoetropeError(f"data.source.path: {path} has no train, which names the folder of the images.")
    return places, names


def _instead(split: str) -> str:
    return "data.split holds out of train" if split == "val" else "there is no test"


def _names(said: Mapping[str, Any], path: Path) -> list[str]:
    names = said.get("names")
    if isinstance(names, dict) and [*sorted(names)] == [*range(len(names))]:
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise ZoetropeError(f"data.source.path: {path} has no names: a list, or a mapping of 0, 1, ... to names.")
    return [str(name) for name in names]


def _there(entry: str, root: Path, folder: Path) -> Path | None:
    """Return what an entry leads to: below `path`, below the YAML's folder, or so without leading `../`."""
    plain = entry
    while plain.startswith("../"):
        plain = plain[3:]
    tried = (base / name for name in (entry, plain) for base in (root, folder))
    return next((one.resolve() for one in tried if one.exists()), None)


def _files(entries: Sequence[Path], root: Path, found: Found) -> dict[str, tuple[Path, Path]]:
    """Map the pictures of some folders, or of lists of pictures, relative to `root` -> these and their text files."""
    files: dict[str, tuple[Path, Path]] = {}
    for entry in entries:
        if entry.is_dir():
            for several in pictures(entry, LAYOUT, found.others, (".txt", ".cache")).values():
                files |= {_key(entry / name, root): _pair(entry / name) for name in several}
            _count_lone(_labels(entry), files.values(), found)
            continue
        lines = read_one(entry).decode("utf-8-sig", "replace").splitlines()
        for line in (line.strip() for line in lines):
            if PurePosixPath(line).suffix.lower() in IMAGE_EXTENSIONS:
                picture = _there(line, root, entry.parent) or root / line
                files[_key(picture, root)] = _pair(picture)
    return files


def _key(picture: Path, root: Path) -> str:
    return Path(os.path.relpath(picture, root)).as_posix()


def _pair(picture: Path) -> tuple[Path, Path]:
    return picture, _labels(picture.parent) / f"{picture.stem}.txt"
