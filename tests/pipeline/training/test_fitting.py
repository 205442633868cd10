"""What a plan tells of weights to start from, and of frozen parameters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from models.official import IMAGENET, named
from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, plain
from pipeline.training.fitting import fitting_problems, fitting_warnings, preprocessing_differences, start_words
from pipeline.training.model import build_model
from pipeline.verbs.planning import make_plan, warnings
from tests.pipeline.stores import publish_until, quickstart


@pytest.fixture(autouse=True)
def _no_weights_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))


def saved(recipe: Recipe, path: Path, classes: int = 9) -> str:
    state = build_model(recipe, classes).state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    return str(path)


@pytest.mark.parametrize("file", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"model.width": 8}, "of another shape: conv1.weight is (8, 3, 3, 3), the model has (4, 3, 3, 3)"),
        ({"model.stem": "imagenet"}, "1 of another shape: conv1.weight is (4, 3, 7, 7), the model has (4, 3, 3, 3)"),
        ({"model.kind": "resnet50"}, "these weights are not this model's (ResNet)"),
    ],
)
def test_a_file_of_another_model_is_refused(
    make_recipe: Any, tmp_path: Path, file: str, other: dict[str, Any], says: str
) -> None:
    path = saved(make_recipe("image", **other), tmp_path / file)
    (problem,) = fitting_problems(make_recipe("image", **{"model.weights": path}))
    assert problem.startswith(f"model.weights: {path}: ")
    assert says in problem


def test_a_file_of_the_model_fits_and_so_does_a_trunk(make_recipe: Any, tmp_path: Path) -> None:
    path = saved(make_recipe("image"), tmp_path / "w.safetensors")
    assert fitting_problems(make_recipe("image", **{"model.weights": path})) == []
    assert fitting_problems(make_recipe("image")) == []
    clips = saved(make_recipe("video"), tmp_path / "clips.safetensors")
    assert (
        "the weights were trained with 8 temporal shifts"
        in fitting_problems(make_recipe("image", **{"model.weights": clips, "model.width": 8}))[0]
    )
    image = saved(make_recipe("image", **{"model.width": 8, "model.stem": "imagenet"}), tmp_path / "image.safetensors")
    assert fitting_problems(make_recipe("video", **{"model.weights": image})) == []


def test_a_trained_model_fits_when_its_recipe_builds_the_same(make_recipe: Any, tmp_path: Path) -> None:
    """Then its file is not looked at: here it is one of another width."""
    saved(make_recipe("image", **{"model.width": 8}), tmp_path / "model.safetensors")
    weights = {"model.weights": str(tmp_path)}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(plain(make_recipe("image"))))
    assert fitting_problems(make_recipe("image", **weights)) == []
    for changes in ({"model.stem": "imagenet"}, {"train.freeze": ["layer1.*"]}):
        (problem,) = fitting_problems(make_recipe("image", **weights, **changes))
        assert "of another shape" in problem


def test_what_is_not_here_is_known_of_official_weights_alone(make_recipe: Any) -> None:
    (problem,) = fitting_problems(make_recipe("image", **{"model.weights": "imagenet1k"}))
    assert problem.startswith("model.weights: imagenet1k (https://download.pytorch.org/models/resnet18-f37072fd.pth): ")
    assert "conv1.weight is (64, 3, 7, 7), the model has (4, 3, 3, 3)" in problem
    as_published = {"model": {"kind": "resnet18", "weights": "imagenet1k"}}
    assert fitting_problems(make_recipe("image", **as_published)) == []
    assert fitting_problems(make_recipe("image", **{"model.weights": "https://127.0.0.1:9/w.pth"})) == []
    clips = {"kind": "tsm_resnet50", "weights": "kinetics400-nl"}
    (problem,) = fitting_problems(make_recipe("video", model=clips))
    assert "that the model does not have: base_model.layer2.0.nl." in problem
    assert fitting_problems(make_recipe("video", model={**clips, "non_local": True})) == []
    trunk = {"kind": "tsm_resnet50", "weights": "imagenet1k"}
    assert fitting_problems(make_recipe("video", model=trunk)) == []
    assert fitting_problems(make_recipe("video", model={**trunk, "width": 32})) != []


def test_patterns_that_fit_nothing(make_recipe: Any, tmp_path: Path) -> None:
    path = saved(make_recipe("image", **{"model.width": 8}), tmp_path / "w.safetensors")
    changes = {"model.weights": path, "train.freeze": ["layer1.*", "conv1.weigth"]}
    first, second = fitting_problems(make_recipe("image", **changes))
    assert first.startswith("train.freeze: unknown parameter 'conv1.weigth'; did you mean 'conv1.weight'")
    assert second.startswith("model.weights: ")
    assert fitting_problems(make_recipe("image", **{"train.freeze": ["layer1.*"]})) == []


# What a recipe does otherwise than the weights' publisher.

CROP = {"CenterCrop": {"height": 224, "width": 224}}


def as_published(make_recipe: Any, *steps: dict[str, Any], **changes: Any) -> Recipe:
    model = {"kind": "resnet50", "weights": "imagenet1k"}
    recipe: Recipe = make_recipe("image", **{"model": model, "augment.eval": [*steps, CROP], **changes})
    return recipe


def test_input_as_it_was_published_is_no_difference(make_recipe: Any) -> None:
    row = named("resnet50", "imagenet1k")
    assert row is not None
    recipe = as_published(make_recipe, {"SmallestMaxSize": {"max_size": 232}})
    assert preprocessing_differences(row, recipe) == []
    assert fitting_warnings(recipe) == []
    # What a publisher does not say is not compared.
    silent = replace(row, resize_px=None, crop_px=None, interpolation=None)
    assert preprocessing_differences(silent, as_published(make_recipe, {"SmallestMaxSize": {"max_size": 99}})) == []


@pytest.mark.parametrize(
    ("steps", "changes", "differences"),
    [
        ([{"SmallestMaxSize": {"max_size": 256}}], {}, ["its shorter side in px before that: 232, here 256"]),
        ([], {"shard.image.short_side": 300}, ["its shorter side in px before that: 232, here 300"]),
        (
            [{"SmallestMaxSize": {"max_size": 232, "interpolation": 2}}],
            {},
            ["its interpolation: bilinear, here bicubic"],
        ),
        (
            [{"Resize": {"height": 232, "width": 240}}],
            {"augment.mean": [0.5, 0.5, 0.5], "augment.std": [0.25, 0.25, 0.25]},
            [
                f"augment.mean: {list(IMAGENET[0])}, here [0.5, 0.5, 0.5]",
                f"augment.std: {list(IMAGENET[1])}, here [0.25, 0.25, 0.25]",
            ],
        ),
        (
            [{"SmallestMaxSize": {"max_size": 232}}, {"CenterCrop": {"height": 200, "width": 230}}],
            {"augment.eval": [{"SmallestMaxSize": {"max_size": 232}}, {"CenterCrop": {"height": 200, "width": 230}}]},
            ["augment.eval's crop in px: 224, here 200"],
        ),
    ],
)
def test_other_input_is_told(
    make_recipe: Any, steps: list[dict[str, Any]], changes: dict[str, Any], differences: list[str]
) -> None:
    recipe = as_published(make_recipe, *steps, **changes)
    assert fitting_warnings(recipe) == [
        f"model.weights: imagenet1k was measured with other input: {'; '.join(differences)}"
    ]


def test_other_clips_and_a_licence_are_told(make_recipe: Any) -> None:
    recipe = make_recipe("video", model={"kind": "timesformer_base", "weights": "kinetics400"}, clip={"frames": 8})
    licence, clips = fitting_warnings(recipe)
    assert licence == "model.weights: kinetics400 has the licence CC-BY-NC-4.0: no commercial use"
    assert "augment.mean: [0.45, 0.45, 0.45], here [0.485, 0.456, 0.406]" in clips
    assert "clip.sampling: dense, here segments; clip.stride: 32, here 1" in clips
    assert "clip.frames" not in clips


def test_frozen_parameters_that_nobody_has_trained_are_told(make_recipe: Any) -> None:
    (said,) = fitting_warnings(make_recipe("image", **{"train.freeze": ["layer1.*"]}))
    assert said.startswith("train.freeze: these parameters stay as they are drawn")


def test_a_line_on_what_a_name_means(make_recipe: Any) -> None:
    assert start_words(make_recipe("image")) is None
    assert start_words(make_recipe("image", **{"model.weights": "/a/w.pth"})) is None
    assert start_words(make_recipe("image", **{"model.weights": "imagenet1k"})) == (
        "weights: imagenet1k is https://download.pytorch.org/models/resnet18-f37072fd.pth "
        "(BSD-3-Clause, top-1 69.758%), which is fetched before training"
    )


def test_a_plan_tells_it_before_anything_starts(tmp_path: Path) -> None:
    start = ("model={kind: tsm_resnet18, width: 16}", "model.weights=imagenet1k", "cluster.workers=1")
    with pytest.raises(ZoetropeError, match=r"quickstart: 1 problem\n  model.weights: imagenet1k .*these weights are"):
        make_plan(quickstart(tmp_path, *start))
    recipe = quickstart(tmp_path, "model={kind: tsm_resnet18, weights: imagenet1k}", "cluster.workers=1")
    planned, _ = make_plan(recipe)
    assert planned.notes[-1].startswith("weights: imagenet1k is https://download.pytorch.org/models/resnet18-")
    (said,) = warnings(recipe, planned)
    assert said.startswith("model.weights: imagenet1k was measured with other input: augment.eval's crop in px: 224, h")
    publish_until(recipe, "export")
    planned, _ = make_plan(recipe)
    assert (planned.notes, warnings(recipe, planned)) == ((), [])
