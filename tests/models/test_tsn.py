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
