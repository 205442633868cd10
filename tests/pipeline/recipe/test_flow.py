"""What a recipe cannot have beside flow, in words."""

from typing import Any

import pytest

from pipeline.recipe import Recipe, check, plain
from pipeline.recipe.validate import RecipeError
from tests.conftest import tiny_values

ASKED: dict[str, Any] = {"shard.flow": {"method": "dis", "limit_px": 20}, "clip.flow": 5}


def made(modality: str = "video", **changes: Any) -> Recipe:
    return check(tiny_values(modality, **changes), "r")


def test_a_model_takes_as_many_channels_as_there_are() -> None:
    alone = made(**ASKED, model={"kind": "tsn_resnet18"})
    assert (alone.model.in_channels, alone.inputs, alone.sees_flow_alone) == (10, {"pixels": 10}, True)
    both = made(**ASKED, model={"kind": "two_stream_i3d"})
    assert (both.model.in_channels, both.model.flow_channels) == (3, 10)
    assert (both.inputs, both.sees_flow_alone) == ({"pixels": 3, "flow": 10}, False)
    assert made(**{**ASKED, "clip.flow": 1}, model={"kind": "i3d_flow"}).model.in_channels == 2
    assert check(plain(both), "r") == both


def test_a_recipe_that_asks_for_none_says_nothing_of_it() -> None:
    values = plain(made())
    assert "flow" not in values["shard"] | values["clip"]
    assert "flow_std" not in values["augment"]


FUSION = {"kind": "fusion_vgg16"}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("image", {"shard.flow": {}}, "shard.flow: is of videos, and task.kind is image-classification; leave it out"),
    (
        "video",
        {"clip.flow": 5},
        "clip.flow: the shards hold no flow; ask for it, with shard.flow={method: dis, limit_px: 20}, or leave "
        "clip.flow out",
    ),
    (
        "video",
        {"model": FUSION},
        "model.kind: fusion_vgg16 looks at flow beside the frames; ask for both, with shard.flow={method: dis, "
        "limit_px: 20} and clip.flow=10",
    ),
    (
        "video",
        {**ASKED, "model": {"kind": "tsn_resnet18", "in_channels": 3}},
        "model.in_channels: 3 channels, and clip.flow=5 gives 10, x and y of each field; leave it out",
    ),
    ("video", {**ASKED, "model": {"kind": "timesformer_base"}}, "clip.flow: timesformer_base looks at frames alone;"),
    (
        "video",
        {**ASKED, "shard.video": {"transcode": False}},
        "shard.flow: is of videos as they are encoded anew; set shard.video.transcode to true",
    ),
    ("video", {"shard.flow": {"method": "files"}}, "shard.flow.method: files lie beside the frames of a video, and"),
    ("video", {"shard.flow": {"method": "tvl1"}}, "shard.flow.method: 'tvl1' is not allowed"),
    (
        "video",
        {**ASKED, "loss.distill": {"teacher": "a-20261120T101500Z"}},
        "loss.distill: a teacher looks at frames, and clip.flow gives flow; leave one of the two out",
    ),
    (  # transforms are looked at where something else is wrong, too; else by the plan
        "video",
        {**ASKED, "augment.train": [{"ElasticTransform": {}}], "seed": -1},
        "augment.train[0].ElasticTransform: bends the picture, so that no frame says where vectors of flow",
    ),
]


@pytest.mark.parametrize(("modality", "changes", "says"), WRONG, ids=[says[:40] for *_, says in WRONG])
def test_what_is_wrong_is_said(modality: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        made(modality, **changes)
    assert any(line.strip().startswith(says) for line in str(caught.value).splitlines()), str(caught.value)
