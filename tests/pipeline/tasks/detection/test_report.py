import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.tasks.detection.precision import COCO_NAMES, accumulate, coco_numbers
from pipeline.tasks.detection.report import write_report
from tests.pipeline.tasks.detection.cases import arrays, objects_of, pictures, rows_of

CLASSES = ("cat", "=1+1", "dog $x$")


def table(path: Path) -> dict[str, list[str]]:
    """Rows by their first cell."""
    with path.open(newline="", encoding="utf-8") as file:
        return {first: rest for first, *rest in csv.reader(file)}


def test_a_report_has_tables_that_agree_with_its_figures(tmp_path: Path) -> None:
    pairs = pictures(2, 12, len(CLASSES))
    rows, objects = rows_of(pairs), objects_of(pairs, len(CLASSES))
    keys = [f"{i}.jpg" for i in range(len(pairs))]
    found = write_report(tmp_path, CLASSES, keys, rows, objects)
    assert {name: found[name] for name in COCO_NAMES} == coco_numbers(accumulate(rows, objects))
    assert set(found) == {*COCO_NAMES, "VOC07", "VOC12", "F1", "threshold"}
    classes = table(tmp_path / "per_class.csv")
    assert classes["'=1+1"] == ["0"] + [""] * (len(classes["class"]) - 1)
    ap = classes["class"].index("AP")
    assert np.mean([float(classes[name][ap]) for name in ("cat", "dog $x$")]) == pytest.approx(found["AP"], abs=1e-5)
    sizes = table(tmp_path / "sizes.csv")
    assert [int(line[0]) for line in list(sizes.values())[1:]] == objects.sum(0).tolist()
    assert float(sizes["all"][1]) == pytest.approx(found["AP"], abs=1e-5)
    samples = table(tmp_path / "samples.csv")
    assert [key for key in samples if key != "file"] == keys
    said, right = (sum(int(samples[key][place]) for key in keys) for place in (1, 2))
    assert found["F1"] == pytest.approx(2 * right / (said + objects[:, 0].sum()))
    confusion = table(tmp_path / "confusion.csv")
    assert sum(map(int, confusion["cat"])) == objects[0, 0]
    errors = table(tmp_path / "errors.csv")
    assert sum(float(line[1]) for line in list(errors.values())[1:]) == pytest.approx(1, abs=1e-5)
    for name in ("precision_recall", "f1", "confusion_matrix", "errors", "sizes"):
        with Image.open(tmp_path / "figures" / f"{name}.png") as figure:
            assert len(np.unique(np.asarray(figure.convert("L")))) > 10


def test_a_report_of_nothing_is_written(tmp_path: Path) -> None:
    none = [(arrays([], kind=[], score=[]), arrays())]
    found = write_report(tmp_path, CLASSES, ["a.jpg"], rows_of(none), objects_of(none, len(CLASSES)))
    assert found["AP"] == found["VOC07"] == found["F1"] == 0
    assert table(tmp_path / "sizes.csv")["all"] == ["0", "", ""]
