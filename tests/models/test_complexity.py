"""Costs counted by hand, and those of the papers; every name in the table has one."""

import pytest
import torch
from torch import nn

import models
from models.complexity import complexity, count_multiply_adds, count_parameters, training_bytes
from pipeline.base.errors import ZoetropeError
from tests.models.test_every_model import MODULES


def test_counted_by_hand() -> None:
    with torch.device("meta"):
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 5)
        )
    assert count_parameters(model) == 3 * 8 * 9 + 8 + 16 + 128 * 5 + 5
    assert count_multiply_adds(model, (3, 8, 8)) == 4 * 4 * 8 * 3 * 9 + 128 * 5
    assert model.training


@pytest.mark.parametrize(
    ("name", "giga"),
    [
        ("resnet18", 1.814),
        ("resnet50", 4.089),
        ("resnet101", 7.801),
        ("resnet152", 11.514),
        ("resnext50_32x4d", 4.230),
        ("wide_resnet50_2", 11.398),
        ("tsm_resnet50", 32.698),
        ("tsn_resnet50", 32.698),
    ],
)
def test_published(name: str, giga: float) -> None:
    assert complexity(name, 400 if name.startswith("ts") else 1000).multiply_adds / 1e9 == pytest.approx(giga, abs=5e-4)


@pytest.mark.parametrize("attention", ["joint_space_time", "divided_space_time"])
def test_attentions_products_grow_as_published(attention: str) -> None:
    """Keys of a token: 1 + N*T of joint attention, T and 1 + N of divided (section 3.2)."""
    costs = {}
    for frames in (4, 8):
        options = {"attention": attention, "frames": frames, "size_px": 112, "depth": 1}
        costs[frames] = complexity("timesformer_base", 1, **options).multiply_adds
    places, width = 49, 768

    def expected(frames: int) -> int:
        patches = places * frames
        embedding, head = patches * width * 3 * 16 * 16, width
        if attention == "joint_space_time":
            tokens = 1 + patches
            return embedding + head + tokens * 12 * width**2 + 2 * tokens * tokens * width
        with_cls = patches + frames
        linear = (patches * 5 + with_cls * 4 + (1 + patches) * 8) * width**2
        return embedding + head + linear + 2 * width * (patches * frames + with_cls * (1 + places))

    assert costs == {frames: expected(frames) for frames in (4, 8)}


def test_input_shapes() -> None:
    shapes = {name: models.check_options(name).input_shape for name in models.names()}
    assert shapes["resnet18"] == (3, 224, 224)
    assert shapes["tsm_resnet50"] == (3, 8, 224, 224)
    assert shapes["timesformer_base"] == (3, 8, 224, 224)
    assert shapes["timesformer_hr"] == (3, 16, 448, 448)
    assert shapes["timesformer_l"] == (3, 96, 224, 224)
    assert shapes["r3d_18"] == (3, 16, 112, 112)
    assert shapes["s3d"] == (3, 16, 224, 224)
    assert shapes["fcn8s_vgg16"] == (3, 500, 500)
    assert shapes["unet"] == (3, 572, 572)
    assert shapes["deeplabv3_resnet101"] == (3, 520, 520)
    assert models.check_options("tsn_resnet18", in_channels=10).input_shape == (10, 8, 224, 224)
    assert models.check_options("hornet_tiny_gf", size_px=384).input_shape == (3, 384, 384)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_every_name_has_a_cost(name: str) -> None:
    cost = complexity(name, 10)
    assert cost.multiply_adds > cost.parameters > 10**4
    assert cost.input_shape == models.check_options(name).input_shape


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ZoetropeError, match="did you mean 'hornet_tiny_gf'"):
        complexity("hornet_tiny_fg", 10)
    with pytest.raises(ZoetropeError, match="unknown option of resnet18 'heads'"):
        complexity("resnet18", 10, heads=3)


def test_what_training_keeps_is_counted_by_hand() -> None:
    """A ResNet's stem in float32: 3 x 32 x 32 goes into a convolution, 8 x 16 x 16 out of it and of BatchNorm."""
    fixed, small = training_bytes(models.check_options("resnet18", width=8), 3, (3, 32, 32))
    _, large = training_bytes(models.check_options("resnet18", width=8), 3, (3, 64, 64))
    assert fixed == 16 * count_parameters(models.build("resnet18", 3, width=8))
    assert small > 4 * (3 * 32 * 32 + 3 * 8 * 16 * 16)
    assert 3.5 * small < large < 4 * small  # all but means and the head grow with the pixels


def test_recomputed_activations_are_not_kept() -> None:
    each = [
        training_bytes(models.check_options("resnet18", width=8, gradient_checkpointing=on), 3, (3, 64, 64))[1]
        for on in (False, True)
    ]
    assert each[1] < 0.7 * each[0]
