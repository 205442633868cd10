"""Online TSM against the offline uni-directional model, frame by frame."""

from typing import Any

import pytest
import torch

import models
from models.tsm_online import OnlineTSM
from pipeline.base.errors import ZoetropeError


def offline(name: str, **options: Any) -> Any:
    """A narrow model with the statistics of its input and a head that is not small: its logits are about 1."""
    torch.manual_seed(0)
    narrow = {"width_mult": 0.25} if "mobilenet" in name else {"width": 8}
    model: Any = models.build(name, 4, direction="past", **narrow, **options)
    torch.nn.init.normal_(model.new_fc.weight, std=0.05)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(torch.randn(4, 3, 4, 32, 32))
    return model.eval()


@pytest.mark.parametrize("place", ["blockres", "block"])
@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        # Double precision tells rounding, which adds up over the layers and is another on each CPU, from a mistake.
        ("tsm_mobilenetv2", torch.float64, 1e-11),
        ("tsm_resnet18", torch.float64, 1e-11),
        ("tsm_resnet50", torch.float64, 1e-11),
        ("tsm_resnet18", torch.float32, 1e-5),
    ],
)
def test_equals_the_offline_model(name: str, dtype: torch.dtype, tolerance: float, place: str) -> None:
    model, clips = offline(name, place=place).to(dtype), torch.randn(2, 3, 6, 32, 32, dtype=dtype)
    online, state, logits = OnlineTSM(model), None, []
    with torch.no_grad():
        for t in range(6):
            frame_logits, state = online.step(clips[:, :, t], state)
            logits.append(frame_logits)
        by_frame = model.new_fc(model.frame_features(clips))
        assert (torch.stack(logits, dim=1) - by_frame).abs().max() < tolerance
        assert (torch.stack(logits).mean(0) - model(clips)).abs().max() < tolerance
    # What is compared does depend on the frames before.
    with torch.no_grad():
        assert (online.step(clips[:, :, 5])[0] - logits[5]).abs().max() > 1e-3


def test_no_frame_sees_a_later_one() -> None:
    model, clips = offline("tsm_resnet18"), torch.randn(1, 3, 5, 32, 32)
    changed = clips.clone()
    changed[:, :, 3] = 0
    with torch.no_grad():
        before, after = model.frame_features(clips), model.frame_features(changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert all((before[:, t] - after[:, t]).abs().max() > 1e-4 for t in (3, 4))


def test_state_of_mobilenetv2_is_the_releases() -> None:
    with torch.device("meta"):
        online = OnlineTSM(models.build("tsm_mobilenetv2", 27, direction="past").eval())
        _, state = online.step(torch.zeros(1, 3, 224, 224))
    sizes = [(3, 56)] + [(4, 28)] * 2 + [(8, 14)] * 3 + [(12, 14)] * 2 + [(20, 7)] * 2
    assert [tuple(cache.shape) for cache in state] == [(1, channels, side, side) for channels, side in sizes]


def test_the_state_keeps_no_frame_alive() -> None:
    _, state = OnlineTSM(offline("tsm_resnet18")).step(torch.randn(1, 3, 32, 32))
    assert all(cache.untyped_storage().nbytes() == cache.numel() * 4 for cache in state)


def test_a_state_of_other_frames_is_refused() -> None:
    online = OnlineTSM(offline("tsm_resnet18"))
    _, state = online.step(torch.randn(1, 3, 32, 32))
    with pytest.raises(ZoetropeError, match=r"the state is one of \(1, 1, 8, 8\), these frames need \(2, 1, 8, 8\)"):
        online.step(torch.randn(2, 3, 32, 32), state)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("tsm_resnet18", {}, "only a TSM with direction='past' can run online"),
        ("tsn_resnet18", {}, "only a TSM with direction='past' can run online"),
        ("tsm_resnet18", {"direction": "past", "temporal_pool": True}, "online TSM can have neither"),
        ("tsm_resnet18", {"direction": "past", "non_local": True}, "online TSM can have neither"),
    ],
)
def test_models_that_need_whole_clips_are_refused(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ZoetropeError, match=says):
        OnlineTSM(models.build(name, 4, width=8, **options))
