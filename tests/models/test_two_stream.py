"""Two-stream networks: published counts, averaged logits, and how maps are joined."""

from typing import Any

import pytest
import torch

import models
from models.complexity import complexity
from pipeline.base.errors import ZoetropeError
from tests.models.small import small


def build(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.build(name, 5, **{**small(name), **options}).eval()


def inputs(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 3, 4, 32, 32), torch.randn(2, model.flow_channels, 4, 32, 32)


def test_i3d_has_the_parameters_of_its_two_published_networks() -> None:
    assert complexity("two_stream_i3d", 400).parameters == 12_697_264 + 12_675_312


@pytest.mark.parametrize("name", ["two_stream_tsn_resnet18", "two_stream_tsm_resnet18"])
def test_late_fusion_is_the_mean_of_two_networks(name: str) -> None:
    model = build(name)
    frames, flow = inputs(model)
    with torch.no_grad():
        expected = (model.rgb(frames) + model.flow(flow)) / 2
        assert torch.equal(model(frames, flow), expected)
        assert torch.equal(model(torch.cat([frames, flow], 1)), expected)


def test_maps_are_joined_by_a_convolution_of_all_of_them_or_of_their_sum() -> None:
    together, added = (build("fusion_resnet18", fuse=fuse).fusion.weight for fuse in ("concat", "sum"))
    channels = added.shape[0]
    assert added.shape == (channels, channels, 3, 3, 3)
    assert together.shape == (channels, 2 * channels, 3, 3, 3)


def test_the_network_of_flow_goes_on_beside_the_fusion() -> None:
    model = build("fusion_resnet18")
    frames, flow = inputs(model)
    with torch.no_grad():
        model.fc.weight.zero_()
        model.fc.bias.fill_(3.0)
        model.flow_fc.weight.zero_()
        model.flow_fc.bias.fill_(1.0)
        assert torch.equal(model(frames, flow), torch.full((2, 5), 2.0))
    assert build("fusion_resnet18", keep_flow=False).flow_fc is None


def test_what_is_no_pair_of_frames_and_flow_is_refused_in_words() -> None:
    model = build("fusion_resnet18")
    frames, flow = inputs(model)
    with pytest.raises(ZoetropeError, match=r"MidFusion takes clips \[B, 3, T, H, W\] and flow"):
        model(frames, flow[:, :, :2])
    with pytest.raises(ZoetropeError, match="got the shapes"):
        model(frames[:, :2], flow)
