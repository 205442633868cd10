"""Key points through the command line: the made set with a known answer."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.exported.predictor import Predictor

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def test_the_quickstart_finds_stick_figures(make_project: Callable[..., Any]) -> None:
    """An eighth of the recipe's training; validation, evaluation and the exported model agree."""
    project = make_project("image")
    recipe = yaml.safe_load((ROOT / "recipes/quickstart-keypoints.yaml").read_text())
    recipe["data"]["source"]["samples"] = 700
    recipe["train"]["duration"], recipe["train"]["evaluate"] = "2ep", "2ep"
    project.recipe.write_text(yaml.safe_dump(recipe))
    output = project.run()
    measured = project.facts("evaluate")
    assert measured["AP50"] > 0.3
    assert f"OKS AP {measured['AP']:.1%}" in output
    assert "PCK is the share of joints within 0.2 of the distance from left_shoulder to right_hip" in output
    assert project.facts("train")["val/AP"] == pytest.approx(measured["AP"], abs=1e-6)
    evaluation = project.artifact("evaluate")
    assert {"best_predictions.png", "per_joint.png", "precision_recall.png", "worst_predictions.png"} <= {
        path.name for path in (evaluation / "figures").iterdir()
    }
    joints = {row["joint"]: row for row in csv.DictReader((evaluation / "per_joint.csv").open())}
    assert len(joints) == 14
    assert float(joints["neck"]["PCK@0.2"]) > 0.5
    (run,) = project.mlflow_runs()
    assert run.data.metrics["evaluate/PCK"] == measured["PCK"]

    drawn, near, true = project.artifact("ingest") / "files", 0, 0
    predictor = Predictor(project.artifact("export") / "model")
    for path in sorted((drawn / "images").iterdir())[:20]:
        row = json.loads(json.dumps(predictor.task.row(predictor(path.read_bytes()))))
        said = np.reshape(row["keypoints"], (-1, 14, 3))
        for line in (drawn / "labels" / f"{path.stem}.txt").read_text().splitlines():
            points = 96 * np.reshape([float(word) for word in line.split()[5:]], (14, 3))[:, :2]
            near += any(np.median(np.linalg.norm(one[:, :2] - points, axis=1)) < 6 for one in said)
            true += 1
    assert near > true / 3
