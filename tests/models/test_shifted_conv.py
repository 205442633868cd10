"""The shifted 1x1 convolution against a shift and a convolution, and when it may stand in for them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import models.shifted_conv
from models.shift import TemporalShift, temporal_shift
from models.shift_moves import Direction, shift_moves
from models.shifted_conv import can_fuse, shifted_conv1x1

LAYOUTS = [torch.channels_last, torch.contiguous_format]


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


@settings(deadline=None, max_examples=60)
@given(
    num_clips=st.integers(0, 3),
    num_frames=st.integers(1, 5),
    channels=st.integers(4, 13),
    divisor=st.integers(2, 4),
    direction=st.sampled_from(["both", "past"]),
    layout=st.sampled_from(LAYOUTS),
    cache_bytes=st.sampled_from([1, 200, 1 << 20]),
)
def test_equals_a_shift_and_a_convolution(
    num_clips: int,
    num_frames: int,
    channels: int,
    divisor: int,
    direction: Direction,
    layout: torch.memory_format,
    cache_bytes: int,
) -> None:
    x = draw(num_clips * num_frames, channels, 3, 2).to(memory_format=layout)
    weight = draw(3, channels, 1, 1)
    expected = F.conv2d(temporal_shift(x, num_frames, divisor, direction), weight)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.shifted_conv, "CACHE_BYTES", cache_bytes)
        result = shifted_conv1x1(x, weight, num_frames, shift_moves(channels, divisor, direction))
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("direction", ["both", "past"])
@pytest.mark.parametrize(("num_clips", "num_frames", "divisor"), [(2, 3, 4), (1, 4, 2), (3, 1, 8)])
def test_gradients(direction: Direction, num_clips: int, num_frames: int, divisor: int) -> None:
    x = draw(num_clips * num_frames, 8, 2, 2).to(memory_format=torch.channels_last).requires_grad_()
    weight = draw(3, 8, 1, 1).requires_grad_()
    moves = shift_moves(8, divisor, direction)
    assert torch.autograd.gradcheck(lambda x, w: shifted_conv1x1(x, w, num_frames, moves), (x, weight))


def test_gradients_that_nobody_asks_for_are_not_made() -> None:
    x = draw(4, 8, 2, 2).to(memory_format=torch.channels_last)
    moves = shift_moves(8, 8, "both")
    for frozen in (True, False):
        given, weight = x.clone().requires_grad_(not frozen), draw(3, 8, 1, 1).requires_grad_(frozen)
        shifted_conv1x1(given, weight, 4, moves).sum().backward()
        assert (given.grad is None) == frozen
        assert (weight.grad is None) != frozen


def test_when_it_stands_in() -> None:
    conv = nn.Conv2d(8, 4, 1, bias=False)
    plain, last = draw(4, 8, 3, 3, dtype=torch.float32), torch.channels_last
    channels_last = plain.to(memory_format=last)
    assert can_fuse(channels_last, conv)
    assert not can_fuse(plain, conv)
    with torch.no_grad():
        assert can_fuse(plain, conv)
        assert not can_fuse(plain[:, :, :, ::2], conv)
    others = [
        nn.Conv2d(8, 4, 3, padding=1, bias=False),
        nn.Conv2d(8, 4, 1, stride=2, bias=False),
        nn.Conv2d(8, 4, 1, padding=1, bias=False),
        nn.Conv2d(8, 4, 1, groups=2, bias=False),
        nn.Conv2d(8, 4, 1),
        nn.Conv2d(8, 16, 1, bias=False),
        nn.Conv2d(8, 4, 1, bias=False).double(),
    ]
    assert not any(can_fuse(channels_last, other) for other in others)
    assert not can_fuse(channels_last.bfloat16(), conv.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not can_fuse(channels_last, nn.Conv2d(8, 4, 1, bias=False))
    assert not can_fuse(channels_last.to("meta"), conv.float())


def test_the_module_moves_nothing_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    module = TemporalShift(nn.Conv2d(16, 4, 1, bias=False), divisor=8)
    x = draw(4, 16, 3, 3, dtype=torch.float32).to(memory_format=torch.channels_last)
    expected = module.net(temporal_shift(x, 4, 8))
    monkeypatch.setattr("models.shift.temporal_shift", lambda *_: pytest.fail("the frames were copied"))
    torch.testing.assert_close(module(x, 4), expected)


def test_the_module_under_a_compiler() -> None:
    module = TemporalShift(nn.Conv2d(16, 4, 1, bias=False), divisor=8)
    x = draw(4, 16, 3, 3, dtype=torch.float32).to(memory_format=torch.channels_last)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, 4), module(x, 4))
