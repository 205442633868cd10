"""Super-resolution through the command line: better than bicubic, and the same picture from every form of the model."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.decode.image import decode_image, encode_png
from pipeline.exported.predictor import Predictor
from pipeline.tasks.restoration.degrade import resized

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def test_the_quickstart_is_better_than_bicubic(make_project: Callable[..., Any]) -> None:
    """After a quarter of its training, on parts of photographs that it has not seen; validation, evaluation and the
    exported model agree.
    """
    project = make_project("image")
    recipe = yaml.safe_load((ROOT / "recipes/quickstart-super-resolution.yaml").read_text())
    recipe["train"]["duration"], recipe["train"]["checkpoint"] = "40ep", "40ep"
    project.recipe.write_text(yaml.safe_dump(recipe))
    output = project.run()
    measured = project.facts("evaluate")
    assert measured["psnr_rgb_crop2"] > measured["bicubic_psnr_rgb_crop2"]
    assert measured["ssim_y_crop2"] > measured["bicubic_ssim_y_crop2"]
    assert f"PSNR {measured['psnr_rgb_crop2']:.2f} dB" in output
    assert f"bicubic: PSNR {measured['bicubic_psnr_rgb_crop2']:.2f} dB" in output
    assert project.facts("train")["val/psnr_rgb_crop2"] == pytest.approx(measured["psnr_rgb_crop2"], abs=1e-3)
    evaluation = project.artifact("evaluate")
    assert {path.name for path in (evaluation / "figures").iterdir()} == {
        "best_predictions.png",
        "least_gained_predictions.png",
        "psnr.png",
        "psnr.svg",
        "worst_predictions.png",
    }
    rows = list(csv.DictReader((evaluation / "samples.csv").open()))
    assert np.mean([float(row["psnr_y_crop2"]) for row in rows]) == pytest.approx(measured["psnr_y_crop2"], abs=1e-3)

    drawn = project.artifact("ingest") / "files"
    whole = decode_image((drawn / rows[0]["file"]).read_bytes())
    predictor = Predictor(project.artifact("export") / "model")
    answer = predictor(encode_png(resized(whole, 40, 40)))
    said = decode_image(predictor.task.row(answer)["image"]).astype(float)
    error = np.square(said - whole)[2:-2, 2:-2].mean()
    assert 10 * np.log10(255**2 / error) == pytest.approx(float(rows[0]["psnr_rgb_crop2"]), abs=0.01)
