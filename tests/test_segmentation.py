"""Segmentation through the command line: the made set with a known answer, and pictures of several sizes."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from pipeline.exported.predictor import Predictor

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
LOAD = """
import sys
from pathlib import Path
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
table = pandas.DataFrame({"content": [Path(sys.argv[2]).read_bytes()]})
(row,) = model.predict(table, params={"overlay": True}).to_dict("records")
for name in ("mask", "overlay"):
    Path(sys.argv[3], f"{name}.png").write_bytes(row[name])
print(dict(zip(row["classes"], row["shares"])))
"""


def test_the_quickstart_finds_digits_on_photographs(make_project: Callable[..., Any]) -> None:
    """A third of the recipe's training, which begins to tell digits; evaluation, export and MLflow agree."""
    project = make_project("image")
    recipe = yaml.safe_load((ROOT / "recipes/quickstart-segmentation.yaml").read_text())
    recipe["data"]["source"]["samples"] = 1600
    recipe["train"]["duration"], recipe["train"]["evaluate"] = "6ep", "6ep"
    project.recipe.write_text(yaml.safe_dump(recipe))
    output = project.run()
    measured = project.facts("evaluate")
    assert measured["mIoU"] >= 0.12  # of the ground alone it were 0.09
    assert f"mIoU {measured['mIoU']:.1%}" in output
    assert "255 -> ignored" in output
    assert project.facts("train")["val/mIoU"] == pytest.approx(measured["mIoU"], abs=1e-6)
    evaluation = project.artifact("evaluate")
    assert {path.name for path in (evaluation / "figures").iterdir()} == {
        "best_predictions.png",
        "confusion_matrix.png",
        "most_confused_predictions.png",
        "worst_predictions.png",
    }
    rows = {row["class"]: row for row in csv.DictReader((evaluation / "per_class.csv").open())}
    assert list(rows) == ["background", *(str(digit) for digit in range(10))]
    assert np.mean([float(row["iou"]) for row in rows.values()]) == pytest.approx(measured["mIoU"], abs=1e-5)
    (run,) = project.mlflow_runs()
    assert run.data.metrics["evaluate/mIoU"] == measured["mIoU"]
    assert {"train/loss", "train/mIoU", "val/mIoU", "evaluate/boundary_f1"} <= run.data.metrics.keys()

    drawn = project.artifact("ingest") / "files"
    right = []
    predictor = Predictor(project.artifact("export") / "model")
    for path in sorted((drawn / "images").iterdir())[:20]:
        said = predictor(path.read_bytes())["mask"]
        true = cv2.imread(str(drawn / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert true is not None
        right.append((said == true)[true != 255].mean())
    assert np.mean(right) > 0.95
    check_mlflow_model(project, path, predictor(path.read_bytes())["mask"])


def check_mlflow_model(project: Any, path: Path, mask: np.ndarray) -> None:
    """Loaded in a process of its own, it gives the same mask as a PNG, shares that add up to 1, and a picture."""
    command = [sys.executable, "-c", LOAD, str(project.artifact("export") / "mlflow-model"), str(path), project.folder]
    environment = {**os.environ, "PYTHONPATH": "", "HOME": str(project.folder / "home")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=project.folder, check=False)
    assert done.returncode == 0, done.stderr
    loaded = cv2.imread(str(project.folder / "mask.png"), cv2.IMREAD_UNCHANGED)
    assert loaded is not None
    assert np.array_equal(loaded, mask)
    overlay = cv2.imread(str(project.folder / "overlay.png"))
    assert overlay is not None
    assert overlay.shape == (*mask.shape, 3)
    shares = json.loads(done.stdout.strip().splitlines()[-1].replace("'", '"'))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["background"] == pytest.approx((mask == 0).mean())


def write_pictures(folder: Path, rng: np.random.Generator) -> None:
    """24 pictures of two sizes, bright squares on dark ground, with masks of 0 and 255; one mask has another size."""
    for i in range(24):
        size = (40, 56) if i % 3 else (48, 48)
        mask = np.zeros(size, np.uint8)
        y, x = rng.integers(4, 20, 2)
        mask[y : y + 16, x : x + 16] = 255
        pixels = rng.integers(0, 60, (*size, 3), np.uint8)
        pixels[mask > 0] += 150
        for kind, content in (("images", pixels), ("masks", mask if i else mask[:-2])):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{i:02d}.png"), content)


def test_pictures_of_several_sizes_and_masks_of_0_and_255(make_project: Callable[..., Any]) -> None:
    """One with a mask of another size is left out; the rest is measured whole, in tiles, with a CRF."""
    source = {"kind": "images", "path": "set/images", "masks": "set/masks", "classes": {0: "ground", 255: "square"}}
    project = make_project(
        "image",
        **{
            "task.kind": "segmentation",
            "data.source": source,
            "data.max_bad": 0.1,
            "data.split": {"val": 0.3},
            "shard.image": {"resize": False},
            "model": {"kind": "unet_bn", "width": 4},
            "augment.train": [{"RandomCrop": {"height": 32, "width": 32}}, {"HorizontalFlip": {}}],
            "augment.eval": [],
            "loss": {"terms": {"cross_entropy": 1, "dice": 1}, "class_weights": "balanced"},
            "mixing": {"kind": "cutmix"},
            "train.sampling": {"kind": "balanced"},
            "train.mix_group": 4,
            "train.duration": "40st",
            "evaluate": {"tile": 64, "flip": True, "crf": {"iterations": 2}},
            "cluster.workers": 2,
        },
    )
    write_pictures(project.folder / "set", np.random.default_rng(0))
    output = project.run()
    assert "Traceback" not in output
    assert "255 -> square" in output
    assert project.facts("ingest")["quarantined"] == 1
    (bad,) = (json.loads(line) for line in (project.artifact("ingest") / "quarantine.jsonl").open())
    assert "its seg.png: it has 48 x 46 pixels, and its picture 48 x 48" in bad["reason"]
    measured = project.facts("evaluate")
    assert measured["mIoU"] > 0.6
    large = np.full((90, 130, 3), 30, np.uint8)
    large[20:50, 60:110] = 200
    content = cv2.imencode(".png", large)[1].tobytes()
    predictor = Predictor(project.artifact("export") / "model")
    mask = predictor.task.row(predictor(content))["mask"]
    said = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_UNCHANGED)
    assert said is not None
    assert said.shape == (90, 130)
    assert (said[25:45, 65:105] == 1).mean() > 0.8
