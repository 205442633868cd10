"""`train.sampling` and mixtures in a recipe: what is right, what is refused, and in which words."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import RecipeError, check, load, plain
from pipeline.recipe.sampling import AllSamples, Balanced, Weighted, class_weights, epoch_samples

MIXTURE: dict[str, Any] = {
    "kind": "mixture",
    "of": {"mine": {"kind": "folder", "path": "mine"}, "web": {"kind": "table", "path": "web.csv", "root": "files"}},
}


def problems(values: dict[str, Any]) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        check(values, "r")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def sampled(small: dict[str, Any], **sampling: Any) -> dict[str, Any]:
    return small | {"train": small["train"] | {"sampling": sampling}}


def mixed(small: dict[str, Any], **sampling: Any) -> dict[str, Any]:
    return sampled(small, **sampling) | {"data": {"source": MIXTURE}}


def test_every_sample_once_is_the_default(small: dict[str, Any]) -> None:
    assert plain(check(small, "r"))["train"]["sampling"] == {"kind": "all"}


@pytest.mark.parametrize(
    "sampling",
    [
        {"kind": "balanced"},
        {"kind": "balanced", "epoch": "1.5ksa"},
        {"kind": "weighted", "classes": {"rose": 2.5, "tulip": 0.0}},
        {"kind": "shares", "of": {"mine": 0.25, "web": 3.0}, "epoch": "300sa"},
    ],
)
def test_a_recipe_checks_to_itself(small: dict[str, Any], sampling: dict[str, Any]) -> None:
    recipe = check(mixed(small, **sampling), "r")
    assert plain(check(plain(recipe), "stored")) == plain(recipe)
    assert plain(recipe)["train"]["sampling"] == {"epoch": None} | sampling


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        ({"kind": "balancd"}, "train.sampling.kind: unknown kind 'balancd'; did you mean 'balanced'?"),
        ({"kind": "weighted"}, "train.sampling.classes: is missing"),
        ({"kind": "weighted", "classes": {}}, "train.sampling.classes: names no class; write {class: weight, ...}"),
        (
            {"kind": "weighted", "classes": {"rose": -1}},
            "train.sampling.classes.rose: input should be greater than or equal to 0, not -1",
        ),
        (
            {"kind": "balanced", "epoch": "2ep"},
            "train.sampling.epoch: 2ep is no number of samples; write it as 50000sa, 300ksa or 1.2Msa",
        ),
        (
            {"kind": "balanced", "epoch": "5sa"},
            "train.sampling.epoch: an epoch of 5 samples has no batch of 8; set it to 8sa or more",
        ),
        (
            {"kind": "shares", "of": {"mine": 1}},
            "train.sampling.kind: shares are of the sources of a mixture, and data.source.kind is folder",
        ),
    ],
)
def test_what_is_wrong_is_said(small: dict[str, Any], sampling: dict[str, Any], says: str) -> None:
    assert problems(sampled(small, **sampling)) == [says]


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (
            {"mine": 1, "wbe": 2},
            [
                "train.sampling.of: unknown source 'wbe'; did you mean 'web'?",
                "train.sampling.of: says no share of 'web'",
            ],
        ),
        ({"mine": 1}, ["train.sampling.of: says no share of 'web'"]),
        ({"mine": 1, "web": 0}, ["train.sampling.of.web: input should be greater than 0, not 0"]),
    ],
)
def test_every_source_has_a_share(small: dict[str, Any], of: dict[str, float], says: list[str]) -> None:
    assert problems(mixed(small, kind="shares", of=of)) == says


def test_shares_leave_no_rest_to_keep(small: dict[str, Any]) -> None:
    values = mixed(small, kind="shares", of={"mine": 1, "web": 1})
    values["train"]["keep_last"] = True
    assert problems(values) == ["train.keep_last: with train.sampling.kind shares no epoch has a rest; leave it out"]


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (
            {"a": {"kind": "folder", "pth": "x"}, "b": {"kind": "table", "path": "x.csv"}},
            ["data.source.of.a.path: is missing", "data.source.of.a.pth: unknown key 'pth'; did you mean 'path'?"],
        ),
        (
            {"a": {"kind": "digits"}, "b": {"kind": "folder", "path": "x"}},
            [
                "data.source.of.a.kind: unknown kind 'digits'; known are: activitynet, charades, coco, cvat, diving48, "
                "folder, frames, hmdb51, images, jester, kinetics, labelme, lsp, mpii, something-something, table, "
                "ucf101, voc, yolo"
            ],
        ),
        (
            {"a": {"kind": "frames", "path": "x", "fps": 5}, "b": {"kind": "folder", "path": "x"}},
            ["data.source.of.a.kind: frames makes videos, but task.kind is image-classification"],
        ),
        (
            {"a": {"kind": "table", "path": "x.csv", "separator": "|"}, "b": {"kind": "folder", "path": "x"}},
            [
                "data.source.of.a.separator: is for several labels a sample, and task.kind asks for one; leave it out",
            ],
        ),
    ],
)
def test_wrong_sources_of_a_mixture(small: dict[str, Any], of: dict[str, Any], says: list[str]) -> None:
    assert problems(small | {"data": {"source": {"kind": "mixture", "of": of}}}) == says


def test_one_source_is_no_mixture(small: dict[str, Any]) -> None:
    (said,) = problems(small | {"data": {"source": {"kind": "mixture", "of": {"a": MIXTURE["of"]["mine"]}}}})
    assert said.startswith("data.source.of: dictionary should have at least 2 items")


def test_a_bad_name_of_a_source(small: dict[str, Any]) -> None:
    of = {"a/b": {"kind": "folder", "path": "x"}, "b": {"kind": "folder", "path": "x"}}
    (said,) = problems(small | {"data": {"source": {"kind": "mixture", "of": of}}})
    assert "'a/b'" in said


def test_paths_of_a_mixture_start_at_the_recipe(
    small: dict[str, Any], write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    recipe = load(write(small | {"data": {"source": MIXTURE}}), ["data.source.of.web.path=other.csv"])
    of = plain(recipe)["data"]["source"]["of"]
    assert of["mine"]["path"] == str(tmp_path / "mine")
    assert (of["web"]["path"], of["web"]["root"]) == ("/other.csv", str(tmp_path / "files"))


def test_samples_of_an_epoch() -> None:
    assert epoch_samples(AllSamples(), 10) == epoch_samples(Balanced(kind="balanced"), 10) == 10
    stated = Balanced.model_validate({"kind": "balanced", "epoch": "1.2ksa"})
    assert epoch_samples(stated, 10) == 1200


def test_weights_of_classes() -> None:
    weighted = Weighted(kind="weighted", classes={"b": 0.1})
    assert class_weights(weighted, ("a", "b")) == [1, Fraction(1, 10)]
    with pytest.raises(ZoetropeError, match=r"train.sampling.classes: unknown class 'b'"):
        class_weights(weighted, ("a", "c"))
