"""Leeds Sports Pose: `joints.mat`, fourteen joints of one person an image."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.recipe.bodies import BODIES
from pipeline.recipe.object_sources import LspSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.annotated import read, wrong
from pipeline.sources.joints import PERSON, body_of, box_around, reading
from pipeline.sources.kinds import kind
from pipeline.sources.matlab import loaded
from pipeline.sources.pictures import Found, digest_of, pictures
from pipeline.sources.things import Thing, objects_of

LAYOUT = "images called im0001.jpg, or im00001.jpg, as joints.mat counts them"
KEY = "joints"
JOINTS = BODIES["lsp14"].joints
_NAME = re.compile(r"im(\d{4,5})$")


def look(source: LspSource, task: TaskSection, split: Split) -> Any:
    """List the images that the file counts. ZoetropeError for a file of another kind, and where no image is there."""
    body = body_of(task)
    assert body is not None  # the kinds that give key points are for their task alone
    read_as = reading(JOINTS, body, f"data.source.annotations: {source.annotations}")
    persons = joints_in(source.annotations)
    found, root = Found(classes={PERSON: None}), Path(source.path).resolve()
    lacking = {*range(len(persons))}
    for stem, several in pictures(root, LAYOUT, found.others).items():
        name = _NAME.search(stem)
        number = int(name[1]) - 1 if name else -1
        if not 0 <= number < len(persons):
            found.others[f"not called as {kind('.mat')} counts them"] += len(several)
            continue
        lacking.discard(number)
        numbers = persons[number].ravel().tolist()
        box = box_around(numbers)
        things = [Thing(PERSON, box, keypoints=read_as(numbers))] if box else []
        own = ("train" if number < len(persons) // 2 else "val") if source.official else ""
        found.enter(several[0], root / several[0], own, objects_of(things, joints=len(body.joints)))
    if lacking:
        found.notes.append(
            f"{source.annotations}: {len(lacking):,} of {len(persons):,} images are not there, such as "
            f"im{min(lacking) + 1:04d}.jpg: they are left out"
        )
    return found.listing(source.path, not source.official, LAYOUT, "set data.source.official to true")


def digest(source: LspSource) -> str:
    """Hash the file's content, and the images by size and time of change."""
    return digest_of([source.path], [source.annotations], read, LAYOUT)


def joints_in(path: str) -> npt.NDArray[np.float64]:
    """Read the persons' joints, float [n, 14, 3]: x, y in px from 0, and COCO's visibility. ZoetropeError for none.

    LSP's are [3, 14, n], whose third row is 1 where a joint is hidden; those of the extended set [14, 3, n], whose
    third column is 1 where it is visible, and 0 where nobody labelled it.
    """
    joints = loaded(path, KEY)
    shape: Sequence[int] = getattr(joints, "shape", ())
    if joints is None or not np.issubdtype(joints.dtype, np.number) or shape[:2] not in ((3, 14), (14, 3)):
        raise wrong(f"{path} has no array {KEY} of 3 x 14 x n numbers, or 14 x 3 x n; it has {list(shape) or 'none'}")
    joints = np.asarray(joints, np.float64).reshape(*shape[:2], -1)
    extended = shape[0] == 14
    persons = joints.transpose(2, 0, 1) if extended else joints.transpose(2, 1, 0)
    place, mark = persons[..., :2] - 1, persons[..., 2]  # Matlab counts from 1, to the middle of a pixel
    seen = np.where(mark > 0, 2, 0) if extended else np.where(mark > 0, 1, 2)
    return np.where(seen[..., None] > 0, np.concatenate([place + 0.5, seen[..., None]], -1), 0)
