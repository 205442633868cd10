"""MPII Human Pose as a JSON list of persons: `image`, `joints`, `joints_vis`, `center` and `scale`."""

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
from pipeline.sources.joints import PERSON, body_of, box_around, finite_or_nan, reading
from pipeline.sources.listing import Listing
from pipeline.sources.pictures import Found, digest_of
from pipeline.sources.things import Thing, objects_of

LAYOUT = "the images that the annotations name"
JOINTS = BODIES["mpii16"].joints


def look(source: MpiiSource, task: TaskSection, split: Split) -> Listing:
    """List the images that the files name, each with its persons. ZoetropeError for files of another kind."""
    body = body_of(task)
    assert body is not None  # the kinds that give key points are for their task alone
    read_as = reading(JOINTS, body, f"data.source.annotations: {source.annotations}")
    by_split = _places(source)
    by_ratio = "val" not in by_split
    found = Found(classes={PERSON: None})
    for part, at in by_split.items():
        root, path = Path(at["path"]).resolve(), at["annotations"]
        there = {name for name, _ in walk(root, LAYOUT)}
        persons: dict[str, list[Any]] = defaultdict(list)
        for number, one in enumerate(json_of(Path(path), list)):
            name = one.get("image") if isinstance(one, dict) else None
            if not isinstance(name, str):
                raise wrong(f"{path} has an entry without `image`, number {number}")
            persons[name].append(one)
        prefix = part and f"{part}/"
        for name, several in persons.items():
            key = prefix + name
            if name not in there:
                found.refused[key] = f"{Path(path).name} names it, and there is no file {root / name}"
                continue
            try:
                numbers = [joints_of(one, source.first_pixel) for one in several]
            except BadSample as error:
                found.refused[key] = error.reason
                continue
            boxed = [(box_around(one), one) for one in numbers]
            things = [Thing(PERSON, box, keypoints=read_as(one)) for box, one in boxed if box]
            own = "" if by_ratio and part != "test" else part
            found.enter(key, root / name, own, objects_of(things, joints=len(body.joints)))
        if passed_over := len(there - persons.keys()):
            found.others["not named by the annotations"] += passed_over
    own_split = f"write {SPLIT} in data.source.annotations, and have a file for train and one for val"
    return found.listing(source.path, by_ratio, LAYOUT, own_split)


def digest(source: MpiiSource) -> str:
    """Hash the files' content, and the images by size and time of change."""
    places = _places(source).values()
    return digest_of({at["path"] for at in places}, [at["annotations"] for at in places], read, LAYOUT)


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
