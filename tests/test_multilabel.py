"""A table of segments with several labels each, through the command line to a model that answers with lists."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow
LOAD = """
import json, sys
from pathlib import Path
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
table = model.predict(pandas.DataFrame({"content": [Path(name).read_bytes() for name in sys.argv[2:]]}))
print(json.dumps({"rows": table.to_dict("records"), "outputs": model.metadata.signature.outputs.to_dict()}))
"""
LABELS = {"blue": "right|horizontal", "green": "left|horizontal", "red": "down"}


def test_segments_with_sets_of_labels(make_project: Callable[..., Any]) -> None:
    source = {"kind": "table", "path": "clips.csv", "separator": "|"}
    changes = {"task.kind": "video-multilabel", "data.source": source, "train.duration": "2ep", "cluster.workers": 2}
    project = make_project("video", **changes)
    rows = []
    for path in sorted((project.folder / "data").rglob("*.mp4")):
        split, name, _ = path.relative_to(project.folder / "data").parts
        for start, end in (("", "0.5"), ("0.5", "")):
            rows.append((path.relative_to(project.folder).as_posix(), LABELS[name], split, start, end))
    with (project.folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split", "start_s", "end_s"), *rows])

    output = project.run()
    assert "Traceback" not in output
    assert any(line.startswith("mAP ") for line in output.splitlines())
    ingested = project.facts("ingest")
    assert (ingested["samples"], ingested["quarantined"], ingested["classes"]) == (66, 0, 4)
    measured = project.facts("evaluate")
    assert measured.keys() == {"loss", "mAP", "f1", "quarantined", "split"}
    per_class = {row["class"]: row for row in csv.DictReader((project.artifact("evaluate") / "per_class.csv").open())}
    assert {name: int(row["samples"]) for name, row in per_class.items()} == {
        "down": 4,
        "horizontal": 10,
        "left": 4,
        "right": 6,
    }
    mean = sum(float(row["average precision"]) for row in per_class.values()) / 4
    assert measured["mAP"] == pytest.approx(mean)
    (run,) = project.mlflow_runs()
    assert run.data.metrics["evaluate/mAP"] == measured["mAP"]
    assert {"train/loss", "train/f1", "val/mAP", "val/loss"} <= run.data.metrics.keys()
    # That of scores in bins, which a model that is hardly trained does not fill.
    assert project.facts("train")["val/mAP"] == pytest.approx(measured["mAP"], abs=0.2)
    assert project.facts("train")["val/f1"] == pytest.approx(measured["f1"])
    tar = next((project.artifact("shard") / "train").glob("*.tar")).read_bytes()
    assert b".cls\0" not in tar

    clips = [str(path) for path in sorted((project.folder / "data" / "val").rglob("*.mp4"))[:2]]
    command = [sys.executable, "-c", LOAD, str(project.artifact("export") / "mlflow-model"), *clips]
    environment = {**os.environ, "HOME": str(project.folder)}
    environment.pop("PYTHONPATH", None)
    made = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, timeout=600)
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout.splitlines()[-1])
    assert [column["name"] for column in answer["outputs"]] == ["labels", "scores", "error"]
    assert [column["type"] for column in answer["outputs"]] == ["array", "array", "string"]
    for row in answer["rows"]:
        assert set(row["labels"]) <= per_class.keys()
        assert len(row["scores"]) == len(row["labels"])
        assert all(0.5 <= score <= 1 for score in row["scores"])
