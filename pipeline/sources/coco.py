"""COCO's annotation files: images with boxes of objects, or whose masks are drawn of polygons and run lengths."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.recipe.sources import CocoSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.annotated import read, wrong
from pipeline.sources.class_folders import tree_digest, walk
from pipeline.sources.coco_objects import category_names, posed, readings, things_of
from pipeline.sources.images import SPLIT, of_split, present
from pipeline.sources.joints import body_of
from pipeline.sources.labels import class_name
from pipeline.sources.listing import Candidate, Listing
from pipeline.sources.masks import categories
from pipeline.sources.pictures import Found
from pipeline.sources.things import objects_of

LAYOUT = "the images that the annotations name"
OWN_SPLIT = f"write {SPLIT} in data.source.annotations, and have a file for train and one for val"


def look(source: CocoSource, task: TaskSection, split: Split) -> Listing:
    """List the images that the annotations name. ZoetropeError for annotations that are none, or of no image there.

    Categories are classes by their names, in the order of the first file (of their numbers, for objects), then what the
    second one adds.
    """
    if task.answers in ("objects", "keypoints"):
        return _objects(source, task)
    by_split = _places(source)
    by_ratio = "val" not in by_split
    candidates: list[Candidate] = []
    refused: dict[str, str] = {}
    others: Counter[str] = Counter()
    places: dict[str, int] = {}
    for part, at in by_split.items():
        path = at["annotations"]
        content = _parse(path)
        ids = _categories(content, path, places)
        folder = Path(at["path"]).resolve()
        there = {name for name, _ in walk(folder, LAYOUT)}
        outlines = _outlines(content, ids, path)
        named = set()
        prefix = part and f"{part}/"
        own = "" if by_ratio and part != "test" else part
        for image in content["images"]:
            number, name, width, height = _image(image, path)
            key = prefix + name
            if name in named:
                raise wrong(f"{path} names the image {name} twice")
            named.add(name)
            if name not in there:
                refused[key] = f"{Path(path).name} names it, and there is no file {folder / name}"
                continue
            drawn = {"size": [width, height], "objects": outlines.get(number, [])}
            candidates.append(Candidate(key, str(folder / name), (), own, outlines=drawn))
        if passed_over := len(there - named):
            others["not named by the annotations"] += passed_over
    if not candidates:
        first = next(iter(refused.items()), ("", "no image is named"))
        raise ZoetropeError(f"data.source.path: {source.path} holds no image of the annotations: {first[1]}.")
    masks = categories(places, source.background)
    return Listing(
        sorted(candidates, key=lambda candidate: candidate.key),
        others,
        by_ratio,
        where=f"data.source.path: {source.path}",
        layout=LAYOUT,
        own_split=OWN_SPLIT,
        refused=refused,
        class_order=tuple(name for name in masks.classes if name),
        masks={"": masks},
    )


def _objects(source: CocoSource, task: TaskSection) -> Listing:
    """List the images with their objects; for key points with those of categories that have such."""
    body = body_of(task)
    by_split = _places(source)
    by_ratio = "val" not in by_split
    found = Found()
    there: dict[Path, set[str]] = {}
    named: dict[tuple[Path, str], str] = {}
    for part, at in by_split.items():
        path = at["annotations"]
        content = _parse(path)
        names = category_names(content, path)
        read_as = readings(content, names, body, path) if body else {}
        names = {number: names[number] for number in read_as} if body else names
        found.classes |= dict.fromkeys(names.values())
        folder = Path(at["path"]).resolve()
        if folder not in there:
            there[folder] = {name for name, _ in walk(folder, LAYOUT)}
        images = _by_number(content, path)
        if body:
            content["annotations"] = [one for one in content["annotations"] if one.get("category_id") in names]
        things, refused, notes = things_of(content, names, images, path)
        if body:
            by_name = {names[number]: one for number, one in read_as.items()}
            things = {number: posed(of, by_name, refused, number) for number, of in things.items()}
        found.notes += notes
        prefix = part and f"{part}/"
        for number, (name, width, height) in images.items():
            if (before := named.setdefault((folder, name), part)) != part:
                raise wrong(f"the image {name} is named for {before} and for {part}: name it for one of them")
            if name not in there[folder]:
                found.refused[prefix + name] = f"{Path(path).name} names it, and there is no file {folder / name}"
            elif number in refused:
                found.refused[prefix + name] = refused[number]
            else:
                objects = objects_of(
                    things.get(number, []), (width, height), "xywh", joints=len(body.joints) if body else 0
                )
                found.enter(prefix + name, folder / name, "" if by_ratio and part != "test" else part, objects)
    if passed_over := sum((folder, name) not in named for folder, files in there.items() for name in files):
        found.others["not named by the annotations"] += passed_over
    return found.listing(source.path, by_ratio, LAYOUT, OWN_SPLIT)


def _by_number(content: Mapping[str, Any], path: str) -> dict[int, tuple[str, int, int]]:
    """Number of an image -> name, width and height. ZoetropeError where a number or a name stands twice."""
    images: dict[int, tuple[str, int, int]] = {}
    for number, name, width, height in (_image(image, path) for image in content["images"]):
        if number in images:
            raise wrong(
                f"{path} has two images with the id {number}, {images[number][0]} and {name}, so nobody knows whose "
                "the annotations are. Were files put together? Then number the images anew"
            )
        images[number] = (name, width, height)
    if twice := [name for name, count in Counter(name for name, _, _ in images.values()).items() if count > 1]:
        raise wrong(f"{path} names the image {twice[0]} twice")
    return images


def digest(source: CocoSource) -> str:
    """Hash the annotations' content, and what lies in the images' folders by size and time of change."""
    known = hashlib.sha256()
    for at in _places(source).values():
        known.update(hashlib.sha256(read(Path(at["annotations"]))).digest())
        known.update(tree_digest(Path(at["path"]), LAYOUT).encode())
    return known.hexdigest()


def _places(source: CocoSource) -> dict[str, dict[str, str]]:
    """Split -> its folder and annotation file; "" where `data.split` holds out."""
    if SPLIT in source.path and SPLIT not in source.annotations:
        raise ZoetropeError(f"data.source.annotations: has no {SPLIT}, and data.source.path has; write it in both.")
    given = {"path": source.path, "annotations": source.annotations}
    return {split: of_split(given, split) for split in present(given)}


def _parse(path: str) -> dict[str, Any]:
    try:
        content = json.loads(read(Path(path)))
    except (ValueError, RecursionError):
        raise wrong(f"{path} is no JSON") from None
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(key), list) for key in keys):
        raise wrong(f"{path} has not the lists {', '.join(keys)} that COCO's annotations have")
    if any(not isinstance(one, dict) for key in keys for one in content[key]):
        raise wrong(f"{path} has something else than objects in its lists {', '.join(keys)}")
    return content


def _categories(content: Mapping[str, Any], path: str, places: dict[str, int]) -> dict[int, int]:
    """Number of a category -> its value in masks; `places` are those of names, which grow."""
    values = {}
    for one in content["categories"]:
        try:
            name = class_name(one.get("name"))
        except BadSample as error:
            raise wrong(f"{path} has a category that names no class: {error.reason}") from error
        values[_number(one, "id", path)] = places.setdefault(name, len(places) + 1)
    return values


def _image(image: Mapping[str, Any], path: str) -> tuple[int, str, int, int]:
    name, width, height = (image.get(key) for key in ("file_name", "width", "height"))
    if not isinstance(name, str) or not isinstance(width, int) or not isinstance(height, int):
        raise wrong(f"{path} has an image without file_name, width or height: id {image.get('id')!r}")
    return _number(image, "id", path), name.removeprefix("./"), width, height


def _outlines(content: Mapping[str, Any], ids: Mapping[int, int], path: str) -> dict[int, list[list[Any]]]:
    """Number of an image -> pairs of a value and a segmentation, in the annotations' order."""
    found: dict[int, list[list[Any]]] = {}
    for one in _segmented(content["annotations"], path):
        category = _number(one, "category_id", path)
        if category not in ids:
            raise wrong(f"{path} has an annotation of the category {category}, which it does not list")
        found.setdefault(_number(one, "image_id", path), []).append([ids[category], one["segmentation"]])
    return found


def _number(one: Mapping[str, Any], key: str, path: str) -> int:
    number = one.get(key)
    if not isinstance(number, int):
        raise wrong(f"{path} has an entry whose {key} is no number: {str(number)[:40]!r}")
    return number


def _segmented(annotations: Iterable[Mapping[str, Any]], path: str) -> Iterable[Mapping[str, Any]]:
    for one in annotations:
        if "segmentation" not in one:
            raise wrong(
                f"{path} has an annotation without a segmentation, id {one.get('id')!r}: boxes alone are no masks"
            )
        yield one
