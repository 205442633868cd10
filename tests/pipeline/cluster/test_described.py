from typing import Any

import pytest

from pipeline.cluster import described
from pipeline.cluster.described import Typed, data_name, data_words, experiment, note, origin, run_name
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset

GIT = {"commit": "c" * 40, "dirty": True}


@pytest.fixture
def recipe(make_recipe: Any) -> Recipe:
    made: Recipe = make_recipe("image")
    return made


@pytest.mark.parametrize(
    ("changes", "score", "name"),
    [
        ((), "", "tiny-image"),
        (
            ("optimizer.lr=0.02", "model.width=16"),
            "top-1 71.4%",
            "top-1 71.4%: tiny-image optimizer.lr=0.02 model.width=16",
        ),
        (("store=/x", "tracking.uri=http://x", "tune.samples=3", "name=tiny-image"), "", "tiny-image"),
        (("cluster.workers=4", "feed.workers=1", "seed=1"), "", "tiny-image seed=1"),
        (("model.weights=https://me:s3cret@host/w",), "", "tiny-image model.weights=https://me:***@host/w"),
        (("a" * 200,), "mIoU 3%", "mIoU 3%: tiny-image " + "a" * 106 + "..."),
    ],
)
def test_the_name(recipe: Recipe, changes: tuple[str, ...], score: str, name: str) -> None:
    assert run_name(recipe, Typed("r.yaml", changes), score) == name


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"kind": "folder", "path": "/data/flowers"}, "flowers"),
        ({"kind": "table", "path": "s3://bucket/birds.v2.csv"}, "birds.v2"),
        ({"kind": "images", "path": "/data/camvid/{split}", "masks": "m"}, "camvid"),
        ({"kind": "webdataset", "urls": ["https://h/sets/train-{000000..000009}.tar"]}, "sets"),
        ({"kind": "folder", "path": "/sets/flowers/images/train"}, "flowers"),
        ({"kind": "folder", "path": "/data/images"}, "images"),
        ({"kind": "digits"}, "digits"),
        ({"kind": "folder", "path": "/"}, "folder"),
        (
            {"kind": "mixture", "of": {"a": {"kind": "folder", "path": "x"}, "b": {"kind": "folder", "path": "y"}}},
            "a+b",
        ),
    ],
)
def test_the_data_are_called_alike_in_all_recipes(make_recipe: Any, source: dict[str, Any], name: str) -> None:
    changes = {"task.kind": "segmentation", "model": {"kind": "unet", "width": 4}} if source["kind"] == "images" else {}
    assert data_name(make_recipe("image", **{"data.source": source, **changes}).data.source) == name


def test_runs_on_the_same_data_lie_in_one_experiment(make_recipe: Any) -> None:
    source = {"data.source": {"kind": "folder", "path": "/data/flowers"}}
    recipes = [make_recipe("image", **source, name=name) for name in ("one", "other")]
    assert [experiment(recipe) for recipe in recipes] == ["flowers", "flowers"]
    assert experiment(make_recipe("image", **source, **{"tracking.experiment": "mine"})) == "mine"


def test_the_data_in_words(images: Dataset) -> None:
    assert data_words(images) == f"26 train, 7 val, 3 classes: {', '.join(images.classes)}"


def test_the_description(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(described.socket, "gethostname", lambda: "box")
    monkeypatch.setenv("LOGNAME", "ann")
    typed = Typed("my recipes/r.yaml", ("optimizer.lr=0.02", "tracking.uri=https://me:s3cret@host"))
    tags = origin(recipe, typed, GIT, "2 CPU cores")
    command = "python -m pipeline run 'my recipes/r.yaml' optimizer.lr=0.02 'tracking.uri=https://me:***@host'"
    assert tags == {
        "mlflow.source.name": "my recipes/r.yaml",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "c" * 40,
        "mlflow.user": "ann",
        "zoetrope.host": "box",
        "zoetrope.machine": "2 CPU cores",
        "zoetrope.command": command,
    }
    assert note(recipe, tags, GIT, "/store/runs/one", "26 train, 7 val", "top-1 71.4%").splitlines() == [
        "**top-1 71.4%**",
        "",
        "* **Data**: nowhere: 26 train, 7 val",
        "* **Training**: resnet18 for image-classification, 2ep in batches of 8, sgd with a learning rate of 0.05",
        f"* **Command**: `{command}`",
        f"* **Code**: commit {'c' * 40}, changed since",
        "* **Machine**: box: 2 CPU cores",
        "* **Record**: `/store/runs/one`",
        "",
        "The whole recipe is among the artifacts: `python -m pipeline run recipe.yaml` does the same again.",
    ]
    bare = note(recipe, origin(recipe, Typed(), None, "2 CPU cores"), None, "/store/runs/one", "26 train, 7 val")
    assert bare.startswith("* **Data**")
    assert "Code" not in bare
