"""CVAT's annotations: one XML file, of images or of the tracks of a video whose frames lie as images."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.recipe.object_sources import CvatSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.annotated import read, wrong
from pipeline.sources.cvat_shapes import FLAT, SHAPES, interpolated, thing_of
from pipeline.sources.images import SPLIT, of_split, present
from pipeline.sources.listing import Listing
from pipeline.sources.pictures import Found, digest_of, finite, listed_names, pictures
from pipeline.sources.safe_xml import parse_xml
from pipeline.sources.things import Thing, objects_of

LAYOUT = "the images that the annotations name"
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


def look(source: CvatSource, task: TaskSection, split: Split) -> Listing:
    """List the images of the XML file, or the frames of its video. ZoetropeError where none is there."""
    if SPLIT in source.path and SPLIT not in source.annotations:
        raise ZoetropeError(f"data.source.annotations: has no {SPLIT}, and data.source.path has; write it in both.")
    given = {"path": source.path, "annotations": source.annotations}
    parts = present(given)
    by_ratio = "val" not in parts
    found, flat = Found(), Counter[str]()
    for part in parts:
        at = of_split(given, part)
        path = Path(at["annotations"])
        try:
            root = parse_xml(read(path))
        except BadSample as error:
            raise wrong(f"{path}: {error.reason}") from error
        if root.tag != "annotations":
            raise wrong(f"{path} is <{root.tag}>, and CVAT's XML is <annotations>")
        names = dict.fromkeys(label.text or "" for label in root.iterfind(".//labels/label/name"))
        found.classes |= listed_names([*names], "annotations")
        own = "" if by_ratio and part != "test" else part
        folder = Path(at["path"]).resolve()
        there = pictures(folder, LAYOUT, found.others, (".xml",))
        prefix = f"{part}/" if part else ""
        enter = _enter_video if root.find("track") is not None else _enter_images
        try:
            enter(root, folder, [name for several in there.values() for name in several], prefix, own, found, flat)
        except BadSample as error:
            raise wrong(f"{path}: {error.reason}") from error
    if flat:
        shapes = ", ".join(f"{count:,} x {shape}" for shape, count in sorted(flat.items()))
        found.notes.append(f"shapes without an area are left out: {shapes}")
    own_split = f"write {SPLIT} in data.source.annotations, and have a file for train and one for val"
    return found.listing(source.path, by_ratio, LAYOUT, own_split)


def digest(source: CvatSource) -> str:
    """Hash what the images' folders hold by size and time of change, and the XML files by content."""
    given = {"path": source.path, "annotations": source.annotations}
    places = [of_split(given, part) for part in present(given)]
    return digest_of([at["path"] for at in places], [at["annotations"] for at in places], read, LAYOUT)


def _enter_images(
    root: Element, folder: Path, there: list[str], prefix: str, split: str, found: Found, flat: Counter[str]
) -> None:
    """Enter the images of a task of images: those that the file names."""
    known, named = set(there), set[str]()
    for image in root.iterfind("image"):
        name = (image.get("name") or "").replace("\\", "/").removeprefix("./")
        key = prefix + name
        if name in named:
            raise wrong(f"the image {name} stands there twice")
        named.add(name)
        if name not in known:
            found.refused[key] = f"the annotations name it, and there is no file {folder / name}"
            continue
        try:
            width, height = (int(finite(image.get(side), side)) for side in ("width", "height"))
            things = _things(image, found.classes, flat, (width, height))
        except BadSample as error:
            found.refused[key] = error.reason
            continue
        found.enter(key, folder / name, split, objects_of(things, (width, height)))
    if passed_over := len(known - named):
        found.others["not named by the annotations"] += passed_over


def _things(image: Element, classes: Mapping[str, None], flat: Counter[str], picture: tuple[int, int]) -> list[Thing]:
    things = []
    for shape in image:
        if shape.tag in SHAPES:
            things.append(thing_of(shape, shape.get("label"), classes, picture))
        elif shape.tag in FLAT:
            flat[shape.tag] += 1
    return things


def _enter_video(
    root: Element, folder: Path, there: list[str], prefix: str, split: str, found: Found, flat: Counter[str]
) -> None:
    """Enter the frames of a video's task, by the last number in an image's name.

    What the task does not span is passed over. ZoetropeError where two images have one number, or none has one of it.
    """
    numbers: dict[int, str] = {}
    for name in sorted(there):
        match = _LAST_NUMBER.search(name.rpartition(".")[0])
        if match and (other := numbers.setdefault(int(match[1]), name)) != name:
            raise wrong(f"frames are found by the last number in their names, and {other} and {name} have one")
    size = root.find(".//original_size")
    said = None
    if size is not None:
        said = (int(finite(size.findtext("width"), "width")), int(finite(size.findtext("height"), "height")))
    frames: dict[int, list[Thing]] = {}
    for track in root.iterfind("track"):
        for shape in track:
            if shape.tag in FLAT:
                flat[shape.tag] += 1
        for frame, thing in interpolated(track, found.classes, sorted(numbers), said):
            frames.setdefault(frame, []).append(thing)
    first, last = _span(root, frames)
    spanned = {number: name for number, name in numbers.items() if first <= number <= last}
    if not spanned:
        raise wrong(
            f"it has the frames {first} to {last}, and {folder} has images with the numbers "
            f"{min(numbers, default='none')} to {max(numbers, default='none')}: let their names end in the frame's "
            "number"
        )
    for number, name in spanned.items():
        found.enter(prefix + name, folder / name, split, objects_of(frames.get(number, []), said))
    if passed_over := len(there) - len(spanned):
        found.others["of no frame of the annotations"] += passed_over
    said_frames = {int(finite(one.get("frame"), "frame")) for one in root.iterfind("track/*") if one.tag in SHAPES}
    for number in sorted((said_frames & frames.keys()) - numbers.keys()):
        found.refused[f"{prefix}frame {number}"] = f"the annotations have it, and no image in {folder} has its number"


def _span(root: Element, frames: Iterable[int]) -> tuple[int, int]:
    """Return the first and the last frame of the task."""
    for task in ("meta/job", "meta/task"):
        start, stop = (root.findtext(f"{task}/{key}") for key in ("start_frame", "stop_frame"))
        if start and stop:
            return int(finite(start, "start_frame")), int(finite(stop, "stop_frame"))
    known = list(frames)
    return min(known, default=0), max(known, default=-1)
