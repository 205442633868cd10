"""README's way with a folder of real photographs: init, run, predict, export, and the file without this project."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from tests.conftest import AS_OTHERS, ROOT
from tests.pipeline.verbs.test_export import OURS, run_example

CROPS = 60
SIDE_PX = 96


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes, parts of the two photographs that scikit-learn ships."""
    shipped = load_sample_images()
    for name, pixels in zip(("temple", "flower"), shipped.images, strict=True):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        height, width, _ = pixels.shape
        for i in range(CROPS):
            top, left = 37 * i % (height - SIDE_PX), 53 * i % (width - SIDE_PX)
            crop = pixels[top : top + SIDE_PX, left : left + SIDE_PX]
            Image.fromarray(crop).save(folder / f"{i:02}.jpg", quality=92)
    return tmp_path / "photos"


def typed(folder: Path, *words: str) -> str:
    """Type a command in a folder; what it prints. Fails with that when the command does."""
    command = [sys.executable, "-m", "pipeline", *words]
    place = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=place | AS_OTHERS, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_a_folder_of_photographs_to_a_file_that_needs_none_of_this(photos: Path) -> None:
    folder = photos.parent
    looked = typed(folder, "init", "photos")
    assert "flower 48+12, temple 48+12" in looked
    assert "python -m pipeline run recipe.yaml" in looked
    shown = typed(folder, "run", "recipe.yaml", "train.duration=4ep")
    assert "top-1" in shown

    typed(folder, "predict", "recipe.yaml", "photos", "--top", "2", "--out", "answers.csv", "--draw", "drawn")
    rows = list(csv.DictReader((folder / "answers.csv").open()))
    assert len(rows) == 2 * CROPS
    right = sum(Path(row["file"]).parent.name == row["label"] for row in rows)
    assert right >= 0.8 * len(rows)
    assert len(list((folder / "drawn").rglob("*.*"))) == 2 * CROPS

    exported = typed(folder, "export", "recipe.yaml", "--out", "onnx")
    assert "the worst difference is" in exported
    row = max(rows, key=lambda row: float(row["score"]))
    found = run_example(folder / "onnx", folder / row["file"], "torch", *OURS)
    assert max(found, key=lambda name: found[name]) == row["label"]
    assert found[row["label"]] == pytest.approx(float(row["score"]), abs=0.02)
