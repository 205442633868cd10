"""What a recipe cannot have beside flow, in words."""

import json
from pathlib import Path, PurePath
from typing import Any

import pytest

from pipeline.recipe import Recipe, check, load, plain
from pipeline.recipe.flow import flow_folders, placed
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

ELSEWHERE: dict[str, str] = {"method": "files", "x": "/tvl1/u/{video}/frame*.jpg", "y": "/tvl1/v/{video}/frame*.jpg"}
WRONG += [
    (
        "video",
        {"shard.flow": {**ELSEWHERE, "y": "/tvl1/v/frame*.jpg"}},
        "shard.flow.y: /tvl1/v/frame*.jpg says where files of flow lie, in folders of which each has the name of its "
        "video; write {video} where that stands",
    ),
    ("video", {"shard.flow": {**ELSEWHERE, "y": "flow_y_*"}}, "shard.flow: x says where files lie, and the other axis"),
    ("video", {"shard.flow": {**ELSEWHERE, "x": "s3://b/{video}/*"}}, "shard.flow.x: s3://b/{video}/* says where"),
]


def test_flow_may_lie_elsewhere_than_videos(tmp_path: Path) -> None:
    """The paths are relative to the recipe, and names beside the frames are no paths."""
    asked = made("video", **{"shard.flow": ELSEWHERE})
    assert flow_folders(plain(asked)) == ["/tvl1/u", "/tvl1/v"]
    assert flow_folders(plain(made(**ASKED))) == flow_folders(plain(made())) == []
    video = PurePath("/videos/run/v_run_g01.c01.avi")
    assert placed(ELSEWHERE["x"], video, False) == (Path("/tvl1/u/v_run_g01.c01"), "frame*.jpg")
    assert placed(ELSEWHERE["y"], PurePath("/jpegs_256/v_run.1"), True) == (Path("/tvl1/v/v_run.1"), "frame*.jpg")
    assert placed("flow_x_*", video, True) == (Path(video), "flow_x_*")
    values = tiny_values("video", **{"shard.flow": {**ELSEWHERE, "x": "./u/{video}/*", "y": "../v/{video}/*"}})
    (tmp_path / "r.yaml").write_text(json.dumps(values))
    flow = load(tmp_path / "r.yaml").shard.flow
    assert flow is not None
    assert (flow.x, flow.y) == (f"{tmp_path}/u/{{video}}/*", f"{tmp_path.parent}/v/{{video}}/*")
    (tmp_path / "r.yaml").write_text(json.dumps(tiny_values("video", **{"shard.flow": {"x": "fx*"}})))
    flow = load(tmp_path / "r.yaml").shard.flow
    assert flow is not None
    assert (flow.x, flow.y) == ("fx*", "flow_y_*")


@pytest.mark.parametrize(("modality", "changes", "says"), WRONG, ids=[says[:40] for *_, says in WRONG])
def test_what_is_wrong_is_said(modality: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        made(modality, **changes)
    assert any(line.strip().startswith(says) for line in str(caught.value).splitlines()), str(caught.value)
