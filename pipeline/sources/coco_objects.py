"""The objects of COCO's annotations: boxes, crowds, areas, outlines and key points."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.decode.limits import BadSample
from pipeline.decode.objects import CROWD, DIFFICULT, PLAIN
from pipeline.recipe.bodies import Skeleton
from pipeline.sources.annotated import wrong
from pipeline.sources.joints import Reading, finite_or_nan, reading, reading_of
from pipeline.sources.labels import class_name
from pipeline.sources.pictures import finite
from pipeline.sources.things import Thing, as_corners


def category_names(content: Mapping[str, Any], path: str) -> dict[int, str]:
    """Number of a category -> its name, in the order of the numbers. ZoetropeError where two have one number."""
    found: dict[int, str] = {}
    for one in content["categories"]:
        try:
            name = class_name(one.get("name"))
        except BadSample as error:
            raise wrong(f"{path} has a category that names no class: {error.reason}") from error
        number = _number(one, "id", path)
        if number in found:
            raise wrong(f"{path} has two categories with the id {number}: {found[number]!r} and {name!r}")
        found[number] = name
    return dict(sorted(found.items()))


def things_of(
    content: Mapping[str, Any], names: Mapping[int, str], images: Collection[int], path: str
) -> tuple[dict[int, list[Thing]], dict[int, str], list[str]]:
    """Number of an image -> its objects; why some images cannot be used; and what to say of the file, in sentences.

    images: the numbers of all images that the file lists. ZoetropeError for a category that it does not list, and
    where it lists no image of any annotation.
    """
    things: dict[int, list[Thing]] = {}
    refused: dict[int, str] = {}
    unknown: Counter[int] = Counter()
    ids: Counter[int] = Counter()
    for one in content["annotations"]:
        category, image = _number(one, "category_id", path), _number(one, "image_id", path)
        if category not in names:
            raise wrong(
                f"{path} has an annotation of the category {category}, which it does not list; it lists "
                f"{', '.join(map(str, names)) or 'none'}"
            )
        if isinstance(one.get("id"), int):
            ids[one["id"]] += 1
        if image not in images:
            unknown[image] += 1
            continue
        try:
            things.setdefault(image, []).append(_thing(one, names[category]))
        except BadSample as error:
            refused[image] = f"its annotation {one.get('id')!r}: {error.reason}"
    notes = []
    if unknown:
        some = f"{unknown.total():,} of {len(content['annotations']):,} annotations are of images that it does not list"
        if not things and not refused:
            raise wrong(f"{path}: {some}, such as image_id {min(unknown)}")
        notes.append(f"{path}: {some}, such as image_id {min(unknown)}: they are left out")
    if repeated := sum(count - 1 for count in ids.values()):
        notes.append(
            f"{path}: {repeated:,} annotations have an id that another one has, such as {ids.most_common(1)[0][0]}; "
            "all of them count here, and pycocotools keeps the last one of an id"
        )
    return things, refused, notes


def readings(content: Mapping[str, Any], names: Mapping[int, str], body: Skeleton, path: str) -> dict[int, Reading]:
    """Number of a category that has key points -> which of them the body's joints are; by name, where it names them.

    ZoetropeError where no category has any.
    """
    where = f"data.source.annotations: {path}"
    named = {one["id"]: one["keypoints"] for one in content["categories"] if isinstance(one.get("keypoints"), list)}
    found = {number: reading(joints, body, where) for number, joints in named.items() if joints}
    counts = {
        one["category_id"]: len(one["keypoints"]) // 3  # the first one's: those of other numbers are refused
        for one in reversed(content["annotations"])
        if isinstance(one.get("keypoints"), list) and one.get("category_id") in names
    }
    found |= {number: reading_of(count, body, where) for number, count in counts.items() if number not in found}
    if not found:
        raise wrong(f"{path} has no key points: neither do its categories name any, nor do annotations have such")
    return {number: found[number] for number in names if number in found}


def posed(things: Sequence[Thing], read_as: Mapping[str, Reading], refused: dict[int, str], number: int) -> list[Thing]:
    """Return the objects of the image of that number with the body's joints; it is refused where they have others."""
    try:
        return [
            one._replace(keypoints=one.keypoints and read_as[one.name](list(map(finite_or_nan, one.keypoints))))
            for one in things
        ]
    except BadSample as error:
        refused[number] = f"one of its annotations: {error.reason}"
        return []


def _thing(one: Mapping[str, Any], name: str) -> Thing:
    box = one.get("bbox")
    if not isinstance(box, Sequence) or isinstance(box, str) or len(box) != 4:
        raise BadSample("its bbox is no list of x, y, width and height")
    numbers = np.array([[finite(number, "a number of bbox") for number in box]])
    x0, y0, x1, y1 = as_corners(numbers, "xywh")[0].tolist()
    area = one.get("area")
    keypoints = one.get("keypoints")
    return Thing(
        name,
        (x0, y0, x1, y1),
        CROWD if one.get("iscrowd") else DIFFICULT if one.get("ignore") else PLAIN,
        None if area is None else finite(area, "the area"),
        one.get("segmentation") or None,
        list(keypoints) if isinstance(keypoints, list) and len(keypoints) % 3 == 0 else None,
    )


def _number(one: Mapping[str, Any], key: str, path: str) -> int:
    number = one.get(key)
    if not isinstance(number, int):
        raise wrong(f"{path} has an entry whose {key} is no number: {str(number)[:40]!r}")
    return number
