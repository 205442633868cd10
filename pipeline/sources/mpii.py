"""MPII Human Pose: its own file of Matlab, or a JSON list of persons.

Of JSON it is `image`, `joints`, `joints_vis`, `center` and `scale`.
Of its own file it is `RELEASE.annolist(i).annorect(j).annopoints.point(k)`: `id`, `x`, `y` and, of some, `is_visible`.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.recipe.bodies import BODIES
from pipeline.recipe.object_sources import MpiiSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.annotated import json_of, read, wrong
from pipeline.sources.class_folders import walk
from pipeline.sources.images import SPLIT, of_split, present
from pipeline.sources.joints import PERSON, Reading, body_of, box_around, finite_or_nan, reading
from pipeline.sources.listing import Listing
from pipeline.sources.matlab import field, loaded, structs
from pipeline.sources.pictures import Found, digest_of
from pipeline.sources.things import Thing, objects_of

LAYOUT = "the images that the annotations name"
KEY = "RELEASE"
JOINTS = BODIES["mpii16"].joints
TALL_PX = 200
"""A person's height in px, of which its `scale` is a multiple."""
TEST_PART = ", or of the test part, whose joints were not published"
NAN = float("nan")


def look(source: MpiiSource, task: TaskSection, split: Split) -> Listing:
    """List the images that the files name, each with its persons. ZoetropeError for files of another kind."""
    body = body_of(task)
    assert body is not None  # the kinds that give key points are for their task alone
    read_as = reading(JOINTS, body, f"data.source.annotations: {source.annotations}")
    own_file = source.annotations.lower().endswith(".mat")
    by_split = _places(source)
    by_ratio = "val" not in by_split
    found = Found(classes={PERSON: None})
    for part, at in by_split.items():
        root, path = Path(at["path"]).resolve(), at["annotations"]
        there = {name for name, _ in walk(root, LAYOUT)}
        persons, thing_of = (released(path), of_release) if own_file else (records(path), of_record)
        prefix = part and f"{part}/"
        for name, several in persons.items():
            key = prefix + name
            if name not in there:
                found.refused[key] = f"{Path(path).name} names it, and there is no file {root / name}"
                continue
            try:
                said = [thing_of(one, source.first_pixel, read_as) for one in several]
            except BadSample as error:
                found.refused[key] = error.reason
                continue
            things = [one for one in said if one]
            if own_file and not any(one.keypoints for one in things):
                found.others["of which nobody labelled a joint"] += 1
                continue
            own = "" if by_ratio and part != "test" else part
            found.enter(key, root / name, own, objects_of(things, joints=len(body.joints)))
        if passed_over := len(there - persons.keys()):
            found.others[f"not named by the annotations{TEST_PART if own_file else ''}"] += passed_over
    own_split = f"write {SPLIT} in data.source.annotations, and have a file for train and one for val"
    return found.listing(source.path, by_ratio, LAYOUT, own_split)


def digest(source: MpiiSource) -> str:
    """Hash the files' content, and the images by size and time of change."""
    places = _places(source).values()
    return digest_of({at["path"] for at in places}, [at["annotations"] for at in places], read, LAYOUT)


def records(path: str) -> dict[str, list[Any]]:
    """Read persons from JSON, by the images' names. ZoetropeError for another file."""
    persons: dict[str, list[Any]] = defaultdict(list)
    for number, one in enumerate(json_of(Path(path), list)):
        name = one.get("image") if isinstance(one, dict) else None
        if not isinstance(name, str):
            raise wrong(f"{path} has an entry without `image`, number {number}")
        persons[name].append(one)
    return persons


def released(path: str) -> dict[str, list[Any]]:
    """Read persons from MPII's own file, by the images' names. ZoetropeError for another file.

    Images of its test part are not among them, as nothing of them was published but where their persons are.
    """
    release = structs(loaded(path, KEY, struct_as_record=False, squeeze_me=True))
    images = structs(vars(release[0]).get("annolist")) if release else []
    marks = np.asarray(vars(release[0]).get("img_train") if release else []).ravel()
    if not images or len(images) != len(marks):
        raise wrong(
            f"{path} has no structure {KEY} with `annolist` and as many marks `img_train`, as MPII's file has it"
        )
    persons: dict[str, list[Any]] = {}
    for number, (image, train) in enumerate(zip(images, marks, strict=True), 1):
        named = structs(vars(image).get("image"))
        name = field(named[0], "name") if named else None
        if not name:
            raise wrong(f"{path} has an entry without `image.name`, {KEY}.annolist({number})")
        if train:
            persons.setdefault(str(name), []).extend(structs(vars(image).get("annorect")))
    return persons


def of_record(one: dict[str, Any], first_pixel: int, read_as: Reading) -> Thing | None:
    """Return a person of JSON; None where no joint is labelled. BadSample for one that has other joints."""
    numbers = joints_of(one, first_pixel)
    box = box_around(numbers)
    return Thing(PERSON, box, keypoints=read_as(numbers)) if box else None


def of_release(one: Any, first_pixel: int, read_as: Reading) -> Thing | None:
    """Return a person of MPII's own file: one of whom no joint is labelled too, where it says how large he is.

    A joint whose `is_visible` is empty counts as visible, as all of the head do. BadSample for a joint of another `id`.
    """
    points = np.zeros((len(JOINTS), 3))
    for point in (point for part in structs(vars(one).get("annopoints")) for point in structs(vars(part).get("point"))):
        number, x, y = (finite_or_nan(field(point, name)) for name in ("id", "x", "y"))
        if number not in range(len(JOINTS)):
            raise BadSample(f"one of its annotations has a joint with the id {number:g}, and MPII's are 0 to 15")
        mark = field(point, "is_visible")
        hidden = mark is not None and finite_or_nan(mark) == 0
        points[int(number)] = x - first_pixel + 0.5, y - first_pixel + 0.5, 1 if hidden else 2
    numbers = points.ravel().tolist()
    if box := box_around(numbers):
        return Thing(PERSON, box, keypoints=read_as(numbers))
    middle = structs(vars(one).get("objpos"))
    x, y = (finite_or_nan(field(middle[0], name)) - first_pixel + 0.5 if middle else NAN for name in "xy")
    half = finite_or_nan(field(one, "scale")) * TALL_PX / 2
    box = (x - half, y - half, x + half, y + half)
    return Thing(PERSON, box) if np.isfinite(box).all() and half > 0 else None


def joints_of(one: dict[str, Any], first_pixel: int) -> list[float]:
    """Return a person's x, y, v of sixteen joints, px from 0. BadSample for an entry that has others."""
    joints: Any = one.get("joints")
    visible: Any = one.get("joints_vis")
    try:
        places = np.array([[finite_or_nan(x), finite_or_nan(y)] for x, y in joints])
        marks = np.array([finite_or_nan(mark) for mark in visible])
        if len(places) != len(JOINTS) or len(marks) != len(JOINTS):
            raise ValueError
    except (TypeError, ValueError):
        raise BadSample(
            f"one of its annotations has not {len(JOINTS)} pairs `joints` and as many marks `joints_vis`"
        ) from None
    # A joint that is not there lies at -1, -1, or at 0, 0 where pixels count from 1.
    seen = (marks > 0) & ~(places <= 0).all(1)
    middle = places - first_pixel + 0.5
    return np.where(seen[:, None], np.c_[middle, np.full(len(JOINTS), 2.0)], 0).ravel().tolist()


def _places(source: MpiiSource) -> dict[str, dict[str, str]]:
    """Split -> its folder and annotation file; "" where `data.split` holds out."""
    if SPLIT in source.path and SPLIT not in source.annotations:
        raise ZoetropeError(f"data.source.annotations: has no {SPLIT}, and data.source.path has; write it in both.")
    given = {"path": source.path, "annotations": source.annotations}
    splits = present(given)
    return {split: of_split(given, split) for split in splits}
