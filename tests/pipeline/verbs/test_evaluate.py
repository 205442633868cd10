"""The verb `evaluate`: a model as its evaluation had it, several by their mean, others refused in words."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import cli
from pipeline.base.errors import ZoetropeError
from pipeline.base.terminal import Terminal
from pipeline.shards.dataset import Dataset
from pipeline.stages.measure import Trained, predict_part
from pipeline.stages.train import WEIGHTS
from pipeline.store import Artifact
from pipeline.tasks import task_of
from pipeline.verbs.evaluate import evaluate
from tests.conftest import tiny_values
from tests.pipeline.exported.untrained import exported_to
from tests.pipeline.test_cli import typed


@pytest.fixture
def models(make_recipe: Any, images: Dataset, tmp_path: Path) -> list[Path]:
    return [exported_to(tmp_path / str(i), make_recipe("image"), images, seed=i) for i in range(2)]


def test_one_model_is_measured_as_in_its_run(
    make_recipe: Any, images: Dataset, models: list[Path], tmp_path: Path
) -> None:
    recipe = make_recipe("image")
    part = predict_part([Trained(recipe, models[0] / WEIGHTS)], images)
    measured = evaluate(Terminal(), recipe, images, [str(models[0])], tmp_path / "out")
    assert measured == task_of(recipe, images.classes).metrics(part.tally)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == measured
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")} == {
        *("metrics.json", "per_class.csv", "confusion.csv", "predictions.csv", "quarantine.jsonl"),
        *("recipe.yaml", "details.json.gz", "report.html", "figures/reliability.svg", "figures/reliability.png"),
        *(f"figures/{name}.png" for name in ("confusion_matrix", "best_predictions", "worst_predictions")),
    }


def test_several_models_as_they_are_typed(
    images: Dataset, models: list[Path], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, make_recipe: Any
) -> None:
    """The second counts twice; views are those of the recipe with its change."""
    recipe = make_recipe("image", **{"evaluate.crops": 3})
    scores = [predict_part([Trained(recipe, model / WEIGHTS)], images).tally.rows["scores"] for model in models]
    mean = (scores[0] + 2 * scores[1]) / 3
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tiny_values("image")))
    monkeypatch.setattr(cli, "_shards", lambda recipe: Artifact(images.folder, {}))
    named = [str(models[0]), str(models[1]), "evaluate.crops=3", str(models[1])]
    code, out, err = typed(
        *(capsys, monkeypatch, "evaluate", str(tmp_path / "recipe.yaml"), *named, "--out", str(tmp_path / "out"))
    )
    assert (code, err) == (0, "")
    top1 = (mean.argmax(1) == [0, 1, 2, 0, 1, 2, 0]).mean()
    assert out.startswith(f"top-1 {top1:.1%} on 7 samples of the validation split, by the mean of 3 models\n")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"{2000 + i}.jpg" for i in range(7)]
    assert [row["predicted"] for row in rows] == [images.classes[k] for k in mean.argmax(1)]
    np.testing.assert_allclose([float(row["score"]) for row in rows], mean.max(1), atol=1e-4)


def test_a_folder_of_shards_is_data_in_either_order(
    images: Dataset, models: list[Path], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, shards = str(models[0]), str(images.folder)
    said = []
    for i, words in enumerate(((model, shards), (shards, model, "evaluate.crops=1"))):
        code, out, err = typed(capsys, monkeypatch, "evaluate", *words, "--out", str(tmp_path / f"out{i}"))
        assert (code, err) == (0, "")
        said.append(out.splitlines()[0])
        assert "report.html shows it all" in out
    assert said[0] == said[1]
    assert said[0].endswith("on 7 samples of the validation split")
    folder = str(tmp_path / "told")
    code, out, err = typed(capsys, monkeypatch, "evaluate", model, shards, "--json", "--out", folder)
    told = json.loads(out)
    assert (code, err, told["folder"], told["split"], told["quarantined"]) == (0, "", folder, "val", 0)
    assert said[0].startswith(f"top-1 {told['metrics']['top1']:.1%} on {told['samples']} samples")
    for words, error in (
        ((shards,), "is data, and no model is named"),
        ((model,), "is data: a recipe (.yaml), or a folder of shards with a dataset.json"),
    ):
        code, _, err = typed(capsys, monkeypatch, "evaluate", *words)
        assert code == 1
        assert error in " ".join(err.split())


def test_models_that_do_not_fit_are_refused(
    make_recipe: Any, images: Dataset, videos: Dataset, models: list[Path], tmp_path: Path
) -> None:
    video = exported_to(tmp_path / "video", make_recipe("video"), videos)
    for named, words in (
        ([models[0], video], "video/model answers video-classification, and tiny-image is a recipe of image-class"),
        ([tmp_path / "none"], "none holds no exported model"),
    ):
        with pytest.raises(ZoetropeError, match=words):
            evaluate(Terminal(), make_recipe("image"), images, [str(name) for name in named], tmp_path / "out")
    for classes, words in (
        (["red", "green", "blue"], "0/model knows the same classes as the data of tiny-image in another order; models"),
        (["blue", "cyan", "red"], r"other classes \(3, such as 'cyan' where the data of tiny-image has 'green'\) than"),
    ):
        (models[0] / "classes.json").write_text(json.dumps(classes))
        (models[0] / "SHA256SUMS").unlink(missing_ok=True)
        with pytest.raises(ZoetropeError, match=words):
            evaluate(Terminal(), make_recipe("image"), images, [str(models[0])], tmp_path / "out")
    assert not (tmp_path / "out").exists()
