"""One object, the pixel columns 10 to 19 and rows 5 to 9 of a picture of 100 x 50, as formats write it."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

BOX = [10.0, 5.0, 20.0, 10.0]
SIZE = (100, 50)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 30)).save(path)
    return path


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def voc(*boxes: tuple[Any, ...], size: tuple[int, int] = SIZE, database: str = "The VOC2007 Database") -> str:
    """Boxes are (name, xmin, ymin, xmax, ymax) and perhaps `difficult`."""
    objects = "".join(
        f"<object><name>{name}</name>{f'<difficult>{rest[0]}</difficult>' if rest else ''}"
        f"<bndbox><ymin>{y0}</ymin><xmin>{x0}</xmin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
        f"<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for name, x0, y0, x1, y1, *rest in boxes
    )
    width, height = size
    return (
        f"<annotation><filename>other.jpg</filename><source><database>{database}</database></source>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{objects}</annotation>"
    )


def coco(images: dict[int, str], names: dict[int, str], *annotations: dict[str, Any]) -> dict[str, Any]:
    """Images of 100 x 50 px."""
    return {
        "images": [
            {"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for number, name in images.items()
        ],
        "categories": [{"id": number, "name": name} for number, name in names.items()],
        "annotations": [{"id": i, "iscrowd": 0, **one} for i, one in enumerate(annotations, 1)],
    }


def labelme(*shapes: dict[str, Any], size: tuple[int, int] = SIZE) -> str:
    width, height = size
    return json.dumps(
        {"version": "5.0", "shapes": shapes, "imageWidth": width, "imageHeight": height, "imageData": None}
    )


def shape(label: str, sort: str, *points: tuple[float, ...], **more: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": sort, "points": [list(point) for point in points], **more}


def cvat(*inside: str, labels: tuple[str, ...] = ("dog", "cat"), meta: str = "") -> str:
    named = "".join(f"<label><name>{label}</name><attributes/></label>" for label in labels)
    task = f"<meta><task>{meta}<labels>{named}</labels></task></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return f"{head}<annotations><version>1.1</version>{task}{''.join(inside)}</annotations>"
