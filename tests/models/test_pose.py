"""OpenPose's networks as published, and light ones that start from a classifier's weights."""

import re

import pytest
import torch
from torch import nn

import models
from models.complexity import complexity, count_parameters
from pipeline.base.errors import ZoetropeError
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(("name", "parameters"), [("openpose", 52_311_446), ("openpose_hand", 36_832_324)])
def test_parameters(name: str, parameters: int) -> None:
    assert count_parameters(on_meta(name, 1)) == parameters


def test_published_cost() -> None:
    assert complexity("openpose", 1).multiply_adds / 1e9 == pytest.approx(135.9, abs=0.1)


def test_layers_have_the_names_of_the_port() -> None:
    """184 tensors of the body's network, 104 of the hand's; some of each, with their shapes."""
    body, hand = (on_meta(name, 1).state_dict() for name in ("openpose", "openpose_hand"))
    assert (len(body), len(hand)) == (184, 104)
    for state, names in (
        (
            body,
            {
                "model0.conv4_4_CPM.weight": (128, 256, 3, 3),
                "model1_1.conv5_5_CPM_L1.weight": (38, 512, 1, 1),
                "model1_2.conv5_5_CPM_L2.bias": (19,),
                "model2_1.Mconv1_stage2_L1.weight": (128, 185, 7, 7),
                "model6_2.Mconv7_stage6_L2.weight": (19, 128, 1, 1),
            },
        ),
        (
            hand,
            {
                "model1_0.conv5_3_CPM.weight": (128, 512, 3, 3),
                "model1_1.conv6_2_CPM.weight": (22, 512, 1, 1),
                "model6.Mconv1_stage6.weight": (128, 150, 7, 7),
            },
        ),
    ):
        assert {name: tuple(state[name].shape) for name in names} == names


def test_official_files_load_and_heat_maps_have_no_relu() -> None:
    """Their keys are those of Caffe, without the port's parts. What is below 0 behind the last layer stays so."""
    torch.manual_seed(0)
    options = {"width": 4, "stages": 2}
    source = models.build("openpose", 1, **options).eval()
    for parameter in source.parameters():
        nn.init.normal_(parameter, std=0.1)
    official = {name.partition(".")[2]: value for name, value in source.state_dict().items()}
    assert "conv1_1.weight" in official
    model = models.build("openpose", 1, **options).eval()
    report = models.load_weights(model, official)
    assert (len(report.loaded), report.missing, report.unexpected) == (len(official), (), ())
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(x), source(x))
        assert model(x)["heat"][:, -1].min() < 0
        caffe = models.build("openpose", 1, bgr=True, **options).eval()
        models.load_weights(caffe, official)
        torch.testing.assert_close(caffe(x), source(x.flip(1)))


def test_the_hands_file_loads_by_caffes_names() -> None:
    source = models.build("openpose_hand", 1, width=4, stages=2)
    official = {name.partition(".")[2]: value + 1 for name, value in source.state_dict().items()}
    assert {"conv6_2_CPM.weight", "Mconv7_stage2.bias"} <= official.keys()
    model = models.build("openpose_hand", 1, width=4, stages=2)
    assert len(models.load_weights(model, {"state_dict": official}).loaded) == len(official)


def test_another_body_takes_all_but_what_sees_or_says_its_maps() -> None:
    official = models.build("openpose", 1, width=4, stages=2).state_dict()
    model = models.build("openpose", 1, width=4, stages=2, joints=14, limbs=13)
    report = models.load_weights(model, {name.partition(".")[2]: value for name, value in official.items()})
    heads = re.compile(r"conv5_5_CPM|Mconv[17]_")
    assert {*report.replaced} == {
        name for name, value in model.state_dict().items() if heads.search(name) and value.shape != official[name].shape
    }
    assert len(report.replaced) == 10
    with pytest.raises(ZoetropeError, match="these weights are not this model's"):
        models.load_weights(models.build("openpose", 1, width=6, stages=2), official)


@pytest.mark.parametrize(
    ("name", "trunk", "options"),
    [
        ("pose_resnet18", "resnet18", {"width": 8}),
        ("pose_mobilenet_v2", "mobilenetv2", {"width_mult": 0.1}),
    ],
)
def test_light_ones_start_from_a_classifier_and_from_another_body(
    name: str, trunk: str, options: dict[str, float]
) -> None:
    model = models.build(name, 1, channels=8, joints=14, limbs=13, **options)
    report = models.load_weights(model, models.build(trunk, 7, **options).state_dict())
    assert {one.partition(".")[0] for one in report.missing} == {"laterals", "fuse", "refine"}
    assert all(one.startswith("backbone.") for one in report.loaded)
    other = models.build(name, 1, channels=8, joints=17, limbs=18, **options)
    report = models.load_weights(model, other.state_dict())
    assert not report.missing
    assert {one.rpartition(".")[0] for one in report.replaced} == {
        *(f"refine.{stage}.outs.{kind}" for stage in (0, 1) for kind in (0, 1)),
        "refine.1.layers.0.0",
    }


def test_a_picture_with_one_body_needs_no_fields() -> None:
    model = models.build("pose_mobilenet_v2", 1, width_mult=0.1, channels=8, joints=14, limbs=0)
    assert model(torch.zeros(2, 3, 32, 48)).keys() == {"heat"}
    assert model(torch.zeros(2, 3, 32, 48))["heat"].shape == (2, 2, 15, 4, 6)
