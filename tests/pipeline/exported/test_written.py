"""Predictions as tables, files and drawings."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pyarrow import parquet

from pipeline.base.errors import ZoetropeError
from pipeline.exported.predictions import Prediction
from pipeline.exported.written import check_table, line, rows, table_of, write_table
from pipeline.figures.drawing import Drawing
from pipeline.tasks.classification import Classification
from pipeline.tasks.segmentation import Segmentation

TASK = Classification(("cat", "dog"))
SCORES = np.array([0.25, 0.75], np.float32)
PICTURE = np.full((30, 40, 3), 90, np.uint8)
FOUND = [
    Prediction("a/x.jpg", TASK.row({"scores": SCORES}, 2), drawing=Drawing(PICTURE, "0.75 dog")),
    Prediction("=b.jpg", error="is empty"),
]
ROWS: list[dict[str, Any]] = [
    {"file": "a/x.jpg", "label": "dog", "score": 0.75, "top_labels": ["dog", "cat"], "top_scores": [0.75, 0.25]},
    {"file": "=b.jpg", "error": "is empty"},
]
COLUMNS = ["file", "label", "score", "top_labels", "top_scores", "error"]


def write(path: Path) -> Path:
    write_table(path, table_of(TASK, 2, saved=False), rows(FOUND, TASK))
    return path


def test_json_lines(tmp_path: Path) -> None:
    lines = write(tmp_path / "new" / "a.jsonl").read_text().splitlines()
    assert [json.loads(each) for each in lines] == ROWS
    assert line({"file": "猫.jpg", "error": None}) == '{"file": "猫.jpg"}\n'


def test_csv(tmp_path: Path) -> None:
    with write(tmp_path / "a.csv").open(newline="") as file:
        found = list(csv.reader(file))
    assert found == [
        COLUMNS,
        ["a/x.jpg", "dog", "0.75", '["dog", "cat"]', "[0.75, 0.25]", ""],
        ["'=b.jpg", "", "", "", "", "is empty"],  # a spreadsheet would run it
    ]


def test_parquet(tmp_path: Path) -> None:
    table = parquet.read_table(write(tmp_path / "a.parquet"))
    assert table.column_names == COLUMNS
    assert table.to_pylist() == [{name: row.get(name) for name in COLUMNS} for row in ROWS]


def test_boxes_are_lists_in_lists(tmp_path: Path) -> None:
    found: list[dict[str, Any]] = [
        {"file": "a.jpg", "boxes": [[0.0, 1.0, 2.0, 3.5], [1.0, 1.0, 9.0, 9.0]]},
        {"file": "b.jpg", "boxes": []},
    ]
    columns = {"file": "string", "boxes": "list of list of double"}
    write_table(tmp_path / "a.parquet", columns, found)
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == found


def test_rows_are_written_as_they_come(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.jsonl", []

    def coming() -> Any:
        for i in range(3):
            yield {"file": f"{i}"}
            seen.append(len(path.read_text().splitlines()))

    write_table(path, {"file": "string"}, coming())
    assert seen == [1, 2, 3]


def test_another_kind_of_table() -> None:
    with pytest.raises(ZoetropeError, match=r"--out a.xlsx: unknown kind of table '.xlsx'; known are: .csv, .jsonl"):
        check_table(Path("a.xlsx"))


def test_drawings_and_files_are_called_by_number_and_name(tmp_path: Path) -> None:
    found = list(rows(FOUND, TASK, draw=tmp_path, first=7))
    assert [path.name for path in tmp_path.iterdir()] == ["000007-x.jpg"]
    drawn = cv2.imread(str(tmp_path / "000007-x.jpg"))
    assert drawn is not None
    assert drawn.shape[0] > 180  # enlarged six times, and words above
    assert drawn.shape[1] == 240
    assert abs(int(drawn[-50, 100, 0]) - 90) < 4
    assert drawn[:20].min() < 100 < drawn[:20].max()
    assert [row["file"] for row in found] == ["a/x.jpg", "=b.jpg"]


def test_a_mask_is_a_file_of_its_own(tmp_path: Path) -> None:
    task = Segmentation(("sky", "sea"))
    mask = np.array([[0, 0, 1, 1], [0, 0, 0, 255]], np.uint8)
    found = [Prediction("u.png", task.row({"mask": mask}))]
    (row,) = rows(found, task, save=tmp_path)
    assert row == {
        "file": "u.png",
        "mask": str(tmp_path / "000000-u.png"),
        "classes": ["sky", "sea"],
        "shares": [5 / 7, 2 / 7],
        "error": None,
    }
    assert np.array_equal(cv2.imread(row["mask"], cv2.IMREAD_UNCHANGED), mask)  # type: ignore[arg-type]
    (row,) = rows(found, task)
    assert "mask" not in row
    assert list(table_of(task, 1, saved=True)) == ["file", "mask", "classes", "shares", "error"]
    assert list(table_of(task, 1, saved=False)) == ["file", "classes", "shares", "error"]
