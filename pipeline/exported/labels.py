"""Boxes and masks that a model found as annotation files, for people to correct: of COCO, CVAT or YOLO."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.exported.predictions import Prediction
from pipeline.exported.written import write_file
from pipeline.tasks.base import Task

Label = dict[str, Any]
"""Of a file: `file`, its path; `width` and `height` in px; `boxes` [[x0, y0, x1, y1]] in px, `labels` and `scores`;
and of instances `masks`, COCO's run lengths as JSON."""


def check_labels(path: Path, task: Task) -> None:
    """Raise ZoetropeError for a file of another kind, and for a task that has no boxes."""
    if "boxes" not in task.columns:
        raise ZoetropeError(f"--labels {path}: are boxes, which this model does not answer; leave it out")
    if path.suffix.lower() not in WRITERS:
        raise ZoetropeError(
            f"--labels {path}: {unknown('kind of file', path.suffix, [name for name in WRITERS if name])}; a name "
            "without one is a folder of YOLO's text files"
        )


def labelled(path: Path, found: Iterable[Prediction], classes: Sequence[str]) -> Iterator[Prediction]:
    """Pass predictions on, and write their boxes in the form that the path asks for: see `WRITERS`.

    A folder has its files one after the other; others are there, whole, once all predictions have passed. A file that
    could not be used has no entry.
    """
    add, finish = WRITERS[path.suffix.lower()](path, classes)
    for each in found:
        if each.error is None and each.size is not None:
            height, width = each.size
            add({"file": each.file, "width": width, "height": height, **each.answer})
        yield each
    finish()


def _coco(path: Path, classes: Sequence[str]) -> tuple[Callable[[Label], None], Callable[[], None]]:
    """COCO's JSON, with a score an annotation; all numbers begin at 1."""
    numbers = {name: i for i, name in enumerate(classes, 1)}
    images: list[Label] = []
    boxes: list[Label] = []

    def add(label: Label) -> None:
        image = {"id": len(images) + 1, "file_name": label["file"], "width": label["width"], "height": label["height"]}
        images.append(image)
        for (x0, y0, x1, y1), name, score, runs in _each(label):
            sides = round(x1 - x0, 2), round(y1 - y0, 2)
            known = {"id": len(boxes) + 1, "image_id": image["id"], "category_id": numbers[name]}
            more = {"bbox": [x0, y0, *sides], "area": round(sides[0] * sides[1], 2), "iscrowd": 0, "score": score}
            boxes.append(known | more | ({"segmentation": runs} if runs else {}))

    def finish() -> None:
        categories = [{"id": i, "name": name} for name, i in numbers.items()]
        content = {"images": images, "annotations": boxes, "categories": categories}
        write_file(path, json.dumps(content, ensure_ascii=False).encode())

    return add, finish


def _cvat(path: Path, classes: Sequence[str]) -> tuple[Callable[[Label], None], Callable[[], None]]:
    """CVAT for images 1.1."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    images = 0

    def add(label: Label) -> None:
        nonlocal images
        size = f'width="{label["width"]}" height="{label["height"]}"'
        lines.append(f'  <image id="{images}" name={quoteattr(label["file"])} {size}>')
        images += 1
        for (x0, y0, x1, y1), name, _, runs in _each(label):
            if runs and (mask := _mask(runs)):
                lines.append(f'    <mask label={quoteattr(name)} source="auto" occluded="0" {mask} z_order="0"></mask>')
                continue
            place = f'xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"'
            lines.append(f'    <box label={quoteattr(name)} source="auto" occluded="0" {place} z_order="0"></box>')
        lines.append("  </image>")

    def finish() -> None:
        write_file(path, "\n".join([*lines, "</annotations>", ""]).encode())

    return add, finish


def _yolo(path: Path, classes: Sequence[str]) -> tuple[Callable[[Label], None], Callable[[], None]]:
    """YOLO's text files, a line a box, and `classes.txt`. ZoetropeError where two files have one name."""
    numbers = {name: i for i, name in enumerate(classes)}
    written: dict[str, str] = {}

    def add(label: Label) -> None:
        file = str(label["file"])
        stem = PurePosixPath(urlsplit(file).path if "://" in file else file).stem
        if stem in written:
            raise ZoetropeError(
                f"--labels {path}: {written[stem]} and {file} would both be {stem}.txt; predict one folder at a time, "
                "or write a file for all: .json (COCO) or .xml (CVAT)"
            )
        written[stem] = file
        lines = []
        for (x0, y0, x1, y1), name, _, _ in _each(label):
            across, down = label["width"], label["height"]
            shares = ((x0 + x1) / 2 / across, (y0 + y1) / 2 / down, (x1 - x0) / across, (y1 - y0) / down)
            lines.append(" ".join([str(numbers[name]), *(f"{share:.6f}" for share in shares)]) + "\n")
        write_file(path / f"{stem}.txt", "".join(lines).encode())

    def finish() -> None:
        write_file(path / "classes.txt", "".join(f"{name}\n" for name in classes).encode())

    return add, finish


def _each(label: Label) -> Iterator[tuple[list[float], str, float, dict[str, Any] | None]]:
    """Yield the box, class, score and, of instances, run lengths of each object."""
    runs = [json.loads(one) for one in label["masks"]] if "masks" in label else [None] * len(label["boxes"])
    yield from zip(label["boxes"], label["labels"], label["scores"], runs, strict=True)


def _mask(said: dict[str, Any]) -> str:
    """Return the attributes of CVAT's mask: run lengths along the rows of the box around it. "" for one of no pixel."""
    from pipeline.decode.outlines import row_runs, runs

    height, width = said["size"]
    bits = runs(said, width, height)
    rows, columns = np.flatnonzero(bits.any(1)), np.flatnonzero(bits.any(0))
    if not len(rows):
        return ""
    inside = bits[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    lengths = ", ".join(map(str, row_runs(inside)))
    return f'rle="{lengths}" left="{columns[0]}" top="{rows[0]}" width="{inside.shape[1]}" height="{inside.shape[0]}"'


WRITERS: dict[str, Callable[[Path, Sequence[str]], tuple[Callable[[Label], None], Callable[[], None]]]] = {
    ".json": _coco,
    ".xml": _cvat,
    "": _yolo,
}
"""By the suffix of the path; without one it is a folder."""
