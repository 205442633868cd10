"""Options and names: what a recipe may say, and the words that answer a wrong one. No torch needed."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import models
from models import options
from models.options import FAMILIES, OPTIONS, ModelOptions
from models.options.tsm import TSMOptions
from pipeline.base.errors import ZoetropeError


def test_every_family_has_its_line() -> None:
    """A file whose family was left out of `FAMILIES` is found here."""
    named = [
        thing
        for file in pkgutil.iter_modules(options.__path__)
        for thing in vars(importlib.import_module(f"models.options.{file.name}")).values()
        if isinstance(thing, type) and issubclass(thing, ModelOptions) and "kind" in thing.model_fields
    ]
    assert set(named) == set(FAMILIES)
    assert len(set(FAMILIES)) == len(FAMILIES)


def test_a_name_is_one_familys() -> None:
    names = [name for family in FAMILIES for name in family.names()]
    assert sorted(names) == models.names() == sorted(set(names))
    assert OPTIONS["tsm_resnet50"] is TSMOptions


def test_defaults() -> None:
    assert TSMOptions(kind="tsm_resnet50").model_dump() == {
        "weights": None,
        "init": "own",
        "kind": "tsm_resnet50",
        "width": 64,
        "stem": "imagenet",
        "zero_init_residual": False,
        "in_channels": 3,
        "gradient_checkpointing": False,
        "dropout": 0.5,
        "partial_bn": False,
        "temporal_pool": False,
        "non_local": False,
        "shift": 8,
        "place": "blockres",
        "direction": "both",
    }
    assert models.check_options("tsn_resnet18").model_dump()["dropout"] == 0.5
    assert models.check_options("resnet18").model_dump()["dropout"] == 0.0


def test_an_unknown_name_answers_with_the_nearest() -> None:
    with pytest.raises(ZoetropeError, match=r"unknown model 'tsm_resnet81'; did you mean .*'tsm_resnet18'"):
        models.build("tsm_resnet81", 4)


def test_an_unknown_option_answers_with_the_nearest() -> None:
    with pytest.raises(ZoetropeError, match="unknown option of tsm_resnet18 'shfit'; did you mean 'shift'"):
        models.build("tsm_resnet18", 4, shfit=8)
    with pytest.raises(
        ZoetropeError,
        match="unknown option of resnet18 'shift'; known are: auxiliary_head, dropout, gradient_checkpointing",
    ):
        models.build("resnet18", 4, shift=8)
    with pytest.raises(ZoetropeError, match="unknown option of resnet18 'kind'"):
        models.build("resnet18", 4, kind="resnet50")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("shift", 1, "shift=1 will not do: input should be greater than or equal to 2"),
        ("width", 0, "width=0 will not do: input should be greater than or equal to 4"),
        ("dropout", 1.0, "dropout=1.0 will not do: input should be less than 1"),
        ("place", "inplace", "place='inplace' will not do: input should be 'blockres' or 'block'"),
        ("stem", "tiny", "stem='tiny' will not do: input should be 'imagenet' or 'small'"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(option: str, value: object, says: str) -> None:
    with pytest.raises(ZoetropeError) as error:
        models.build("tsm_resnet18", 4, **{option: value})
    assert str(error.value) == f"tsm_resnet18: {says}"


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ZoetropeError) as error:
        models.build("tsm_resnet18", 4, widht=16, shift=0, dropout=2)
    lines = str(error.value).splitlines()
    assert [line.split("=")[0] for line in lines] == [
        "unknown option of tsm_resnet18 'widht'; did you mean 'width' or 'weights'?",
        "tsm_resnet18: dropout",
        "tsm_resnet18: shift",
    ]


def test_no_classes_is_refused() -> None:
    with pytest.raises(ZoetropeError, match="needs at least 1 class"):
        models.build("resnet18", 0)


def test_torch_is_not_imported_before_a_model_is_built() -> None:
    code = (
        "import sys, models; [models.check_options(name) for name in models.names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
