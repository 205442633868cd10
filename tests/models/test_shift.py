"""The shift against its known answer, a transcription in numpy, and its own transpose."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.shift import TemporalShift, can_shift_in_place, shifted_in_place, temporal_shift
from models.shift_moves import Direction


def clip(num_clips: int, num_frames: int, channels: int) -> torch.Tensor:
    shape = (num_clips * num_frames, channels, 3, 2)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_known_answer() -> None:
    frame_index = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 8, 1, 1)
    assert temporal_shift(frame_index, num_frames=4, divisor=8).flatten(1).tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [2, 0, 1, 1, 1, 1, 1, 1],
        [3, 1, 2, 2, 2, 2, 2, 2],
        [0, 2, 3, 3, 3, 3, 3, 3],
    ]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 20), st.integers(2, 9))
def test_equals_the_definition(num_clips: int, num_frames: int, channels: int, divisor: int) -> None:
    x = clip(num_clips, num_frames, channels)
    given_ = x.numpy().reshape(num_clips, num_frames, channels, 3, 2)
    fold = channels // divisor
    expected = np.zeros_like(given_)
    for t in range(num_frames):
        if t + 1 < num_frames:
            expected[:, t, :fold] = given_[:, t + 1, :fold]
        if t > 0:
            expected[:, t, fold : 2 * fold] = given_[:, t - 1, fold : 2 * fold]
        expected[:, t, 2 * fold :] = given_[:, t, 2 * fold :]
    np.testing.assert_array_equal(temporal_shift(x, num_frames, divisor).numpy(), expected.reshape(x.shape))


def test_known_answer_of_the_past() -> None:
    frame_index = torch.arange(1.0, 5.0).reshape(4, 1, 1, 1).expand(4, 4, 1, 1)
    assert temporal_shift(frame_index, num_frames=4, divisor=4, direction="past").flatten(1).tolist() == [
        [0, 1, 1, 1],
        [1, 2, 2, 2],
        [2, 3, 3, 3],
        [3, 4, 4, 4],
    ]


def test_steps_over_frames_are_the_shift_of_the_past() -> None:
    module, x, past, steps = TemporalShift(torch.nn.Identity(), divisor=4, direction="past"), clip(1, 4, 9), None, []
    for frame in x:
        y, past = module.step(frame[None], past)
        steps.append(y[0])
    assert torch.equal(torch.stack(steps), temporal_shift(x, 4, 4, "past"))


def test_one_frame_loses_the_shifted_channels() -> None:
    x = torch.ones(2, 8, 1, 1)
    assert temporal_shift(x, num_frames=1, divisor=8).flatten(1).tolist() == [[0, 0, 1, 1, 1, 1, 1, 1]] * 2


def test_too_few_channels_are_left_alone() -> None:
    x = clip(1, 4, channels=7)
    assert temporal_shift(x, num_frames=4, divisor=8) is x


def test_clips_do_not_mix() -> None:
    x = clip(2, 3, 8)
    alone = torch.cat([temporal_shift(x[:3], 3, 4), temporal_shift(x[3:], 3, 4)])
    assert torch.equal(temporal_shift(x, 3, 4), alone)


def test_the_input_is_not_changed() -> None:
    x = clip(1, 4, 8)
    before = x.clone()
    temporal_shift(x, 4, 2)
    assert torch.equal(x, before)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_memory_format_is_kept(memory_format: torch.memory_format) -> None:
    x = clip(2, 4, 8)
    shifted = temporal_shift(x.to(memory_format=memory_format), 4, 8)
    assert shifted.is_contiguous(memory_format=memory_format)
    assert torch.equal(shifted, temporal_shift(x, 4, 8))


@pytest.mark.parametrize("direction", ["both", "past"])
@pytest.mark.parametrize(("num_frames", "divisor"), [(1, 2), (3, 2), (6, 4)])
def test_gradients(num_frames: int, divisor: int, direction: Direction) -> None:
    x = clip(6 // num_frames, num_frames, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: temporal_shift(x, num_frames, divisor, direction), x)
    assert torch.autograd.gradgradcheck(lambda x: temporal_shift(x, num_frames, divisor, direction).square(), x)


def test_module_hands_the_shifted_frames_to_its_net() -> None:
    net = torch.nn.Conv2d(8, 2, 1)
    module = TemporalShift(net, divisor=8)
    x = clip(1, 4, 8).float()
    assert torch.equal(module(x, 4), net(temporal_shift(x, 4, 8)))
    assert list(module.state_dict()) == ["net.weight", "net.bias"]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(2, 5),
    st.sampled_from(["both", "past"]),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_in_place_is_the_shift_and_is_undone(
    num_clips: int, num_frames: int, channels: int, divisor: int, direction: Direction, layout: torch.memory_format
) -> None:
    before = clip(num_clips, num_frames, channels)
    x = before.to(memory_format=layout, copy=True)
    with shifted_in_place(x, num_frames, divisor, direction):
        assert torch.equal(x, temporal_shift(before, num_frames, divisor, direction))
    assert torch.equal(x, before)
    with pytest.raises(KeyError), shifted_in_place(x, num_frames, divisor, direction):
        raise KeyError
    assert torch.equal(x, before)


def test_when_frames_are_shifted_in_place() -> None:
    x = clip(1, 4, 8)
    assert not can_shift_in_place(x)
    with torch.inference_mode():
        made_here = x.clone()
        assert can_shift_in_place(x)
        assert can_shift_in_place(made_here)
    with torch.no_grad():
        assert can_shift_in_place(x)
        assert can_shift_in_place(x.to(memory_format=torch.channels_last))
        # What torch would refuse to write to, or another graph may still need.
        assert not can_shift_in_place(made_here)
        assert not can_shift_in_place(x[..., ::2])
        assert not can_shift_in_place(x[:1].expand(4, -1, -1, -1))
        assert not can_shift_in_place(x.clone().requires_grad_())
        assert not can_shift_in_place(x.to("meta"))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kernel", [1, 3])
def test_inference_is_training_without_a_copy(
    layout: torch.memory_format, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = TemporalShift(torch.nn.Conv2d(16, 4, kernel, padding=kernel // 2), divisor=8)
    x = clip(2, 4, 16).float().to(memory_format=layout)
    before, trained = x.clone(), module(x, 4)
    monkeypatch.setattr("models.shift.temporal_shift", lambda *_: pytest.fail("all frames were copied"))
    with torch.no_grad():
        assert torch.equal(module(x, 4), trained)
    assert torch.equal(x, before)


@pytest.mark.parametrize("direction", ["both", "past"])
@pytest.mark.parametrize("num_frames", [1, 4])
def test_an_exported_shift_is_the_same_and_writes_nothing_in_place(direction: Direction, num_frames: int) -> None:
    class Shift(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return temporal_shift(x, num_frames, 4, direction)

    x = clip(2, num_frames, 9)
    with torch.no_grad():
        program = torch.export.export(Shift(), (x,), strict=False)
    assert torch.equal(program.module()(x), temporal_shift(x, num_frames, 4, direction))
    assert not any("copy_" in str(node.target) or "scatter" in str(node.target) for node in program.graph.nodes)
