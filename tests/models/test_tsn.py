"""TSN against the official release's names and counts; it cannot see the order of frames."""

import hashlib
from typing import Any

import pytest
import torch

import models
from pipeline.base.errors import ZoetropeError


def tiny(**options: Any) -> Any:
    torch.manual_seed(0)
    return models.build("tsn_resnet18", 4, width=8, **options).eval()


def test_parameters_and_state_dict_are_the_releases() -> None:
    with torch.device("meta"):
        model = models.build("tsn_resnet50", 400)
    assert sum(p.numel() for p in model.parameters()) == 24_327_632
    lines = [f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items()]
    assert len(lines) == 320
    assert lines[0] == "base_model.conv1.weight (64, 3, 7, 7)"
    assert lines[-2:] == ["new_fc.weight (400, 2048)", "new_fc.bias (400,)"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "aa4690b0f2cdcd13"


def test_head_starts_small() -> None:
    torch.manual_seed(0)
    head: Any = models.build("tsn_resnet18", 400).get_submodule("new_fc")
    assert head.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert not head.bias.any()


def test_logits_are_the_average_of_the_frames_logits() -> None:
    model, clips = tiny(), torch.randn(2, 3, 5, 32, 32)
    with torch.no_grad():
        frames = torch.stack([model.new_fc(model.base_model(clips[:, :, t])) for t in range(5)])
        torch.testing.assert_close(model(clips), frames.mean(0), rtol=1e-4, atol=1e-6)


def test_order_of_frames_does_not_matter() -> None:
    model, clips = tiny(), torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model.features(clips[:, :, [2, 0, 3, 1]]), model.features(clips))


def test_features() -> None:
    model, clips = tiny(), torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert model.frame_features(clips).shape == (2, 4, 64)
        torch.testing.assert_close(model.new_fc(model.features(clips)), model(clips))


def test_frames_reach_the_backbone_without_a_copy_in_channels_last() -> None:
    """Clips are decoded as [B, T, H, W, C]; what the backbone gets is a view of them."""
    model, decoded = tiny(), torch.randn(2, 4, 32, 32, 3)
    seen: list[torch.Tensor] = []
    model.base_model.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(decoded.permute(0, 4, 1, 2, 3))
    assert seen[0].data_ptr() == decoded.data_ptr()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_an_image_batch_is_refused_in_words() -> None:
    with pytest.raises(ZoetropeError, match=r"TSN takes clips \[B, 3, T, H, W\], got the shape \(2, 3, 32, 32\)"):
        tiny()(torch.zeros(2, 3, 32, 32))


def test_flow_input() -> None:
    with torch.device("meta"):
        model = models.build("tsn_resnet50", 400, in_channels=10)
    assert sum(p.numel() for p in model.parameters()) == 24_349_584
    assert model.state_dict()["base_model.conv1.weight"].shape == (64, 10, 7, 7)
    flow = tiny(in_channels=10)
    assert flow(torch.zeros(2, 10, 3, 32, 32)).shape == (2, 4)
    with pytest.raises(ZoetropeError, match=r"TSN takes clips \[B, 10, T, H, W\], got the shape \(2, 3, 3, 32, 32\)"):
        flow(torch.zeros(2, 3, 3, 32, 32))


@pytest.mark.parametrize(("num_frames", "pooled"), [(8, 4), (5, 3), (2, 1), (1, 1)])
def test_temporal_pooling_halves_the_frames(num_frames: int, pooled: int) -> None:
    model = tiny(temporal_pool=True)
    assert model.frame_features(torch.zeros(2, 3, num_frames, 32, 32)).shape == (2, pooled, 64)


def test_temporal_pooling_is_a_maximum_over_three_frames_before_the_second_stage() -> None:
    model, clips = tiny(temporal_pool=True), torch.randn(1, 3, 4, 32, 32)
    backbone = model.base_model
    with torch.no_grad():
        first = backbone.layer1(backbone.stem(clips[0].transpose(0, 1)))
        pooled = torch.stack([first[:2].amax(0), first[1:4].amax(0)])
        expected = backbone.layer4(backbone.layer3(backbone.layer2(pooled))).mean((2, 3))
        torch.testing.assert_close(model.frame_features(clips)[0], expected)


@pytest.mark.parametrize("name", ["tsn_resnet18", "tsm_mobilenetv2"])
def test_partial_bn_freezes_all_norms_but_the_first(name: str) -> None:
    model: Any = models.build(name, 4, partial_bn=True, **({"width": 8} if "resnet" in name else {"width_mult": 0.1}))
    norms: list[Any] = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    assert model.train() is model
    model(torch.randn(2, 3, 2, 32, 32)).sum().backward()
    learned = [norm.weight.grad is not None for norm in norms]
    assert learned == [True] + [False] * (len(norms) - 1)
    moved = [not torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True)]
    assert moved == learned
    assert not any(norm.training for norm in model.eval().modules())


def test_partial_bn_lets_the_norms_of_non_local_blocks_learn() -> None:
    model: Any = models.build("tsn_resnet18", 4, width=8, partial_bn=True, non_local=True)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm3d)]
    assert norms
    assert all(norm.training and norm.weight.requires_grad for norm in norms)
