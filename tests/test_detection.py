"""Detection through the command line: the made set with a known answer."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.exported.predictor import Predictor

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
LOAD = """
import json, sys
from pathlib import Path
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
(row,) = model.predict(pandas.DataFrame({"content": [Path(sys.argv[2]).read_bytes()]})).to_dict("records")
print(json.dumps([[list(map(float, box)) for box in row["boxes"]], list(row["labels"]), list(row["scores"])]))
"""


def test_the_quickstart_finds_digits_on_photographs(make_project: Callable[..., Any]) -> None:
    """A twelfth of the recipe's training, which begins to tell digits; evaluation, export and MLflow agree."""
    project = make_project("image")
    recipe = yaml.safe_load((ROOT / "recipes/quickstart-detection.yaml").read_text())
    recipe["data"]["source"]["samples"] = 800
    recipe["train"]["duration"], recipe["train"]["evaluate"] = "4ep", "4ep"
    recipe["evaluate"] = {"threshold": 0.1}  # after so short a training no score is high
    project.recipe.write_text(yaml.safe_dump(recipe))
    output = project.run()
    measured = project.facts("evaluate")
    assert measured["AP50"] > 0.02
    assert f"AP50 {measured['AP50']:.1%}" in output
    assert f"AP {measured['AP']:.1%} on the validation split" in output
    assert project.facts("train")["val/AP"] == pytest.approx(measured["AP"], abs=1e-6)
    evaluation = project.artifact("evaluate")
    assert {"best_predictions.png", "confusion_matrix.png", "precision_recall.png", "worst_predictions.png"} <= {
        path.name for path in (evaluation / "figures").iterdir()
    }
    rows = {row["class"]: row for row in csv.DictReader((evaluation / "per_class.csv").open())}
    assert [name for name in rows if name.isdigit()] == [str(digit) for digit in range(10)]
    (run,) = project.mlflow_runs()
    assert run.data.metrics["evaluate/AP"] == measured["AP"]
    assert {"train/loss", "val/AP50", "evaluate/AR_100"} <= run.data.metrics.keys()

    drawn, found, true = project.artifact("ingest") / "files", 0, 0
    predictor = Predictor(project.artifact("export") / "model")
    for path in sorted((drawn / "images").iterdir())[:20]:
        row = predictor.task.row(predictor(path.read_bytes()))
        lines = (drawn / "labels" / f"{path.stem}.txt").read_text().splitlines()
        for digit, *numbers in (line.split() for line in lines):
            x, y, width, height = (96 * float(number) for number in numbers)
            box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            near = [np.abs(box - each).max() < 10 for each in row["boxes"]]
            found += any(same and label == digit for same, label in zip(near, row["labels"], strict=True))
            true += 1
    assert found > 0
    command = [sys.executable, "-c", LOAD, str(project.artifact("export") / "mlflow-model"), str(path)]
    environment = {**os.environ, "PYTHONPATH": "", "HOME": str(project.folder / "home")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=project.folder, check=False)
    assert done.returncode == 0, done.stderr
    boxes, labels, scores = json.loads(done.stdout.splitlines()[-1])
    assert (boxes, labels) == (row["boxes"], row["labels"])
    assert scores == pytest.approx(row["scores"], abs=1e-6)
