from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from pipeline.base.errors import ZoetropeError
from pipeline.tasks.segmentation.infer import Options, flip, probabilities, scales, tiled, whole


def a_net(*layers: nn.Module) -> Callable[[Tensor], Any]:
    """Without gradients, with the same weights every time."""
    net = nn.Sequential(*layers)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.from_numpy(rng.normal(0, 0.3, weight.shape)))
    return torch.no_grad()(net)


def pictures(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=shape).astype(np.float32))


PADDED = a_net(nn.Conv2d(3, 6, 5, padding=2), nn.Tanh(), nn.Conv2d(6, 4, 3, padding=1))
"""A pixel of the answer depends on 3 around it."""
UNPADDED = a_net(nn.Conv2d(3, 6, 5), nn.Tanh(), nn.Conv2d(6, 4, 3))
"""The same with a margin of 3."""
STRIDED = a_net(
    nn.Conv2d(3, 8, 3, stride=2, padding=1),
    nn.Tanh(),
    nn.Conv2d(8, 16, 3, stride=2, padding=1),
    nn.Tanh(),
    nn.ConvTranspose2d(16, 8, 2, stride=2),
    nn.Tanh(),
    nn.ConvTranspose2d(8, 4, 2, stride=2),
)
"""Stride 4, sides that are multiples of 4; depends on less than 8 around."""


def pooled(x: Tensor) -> Tensor:
    """A U-Net's shape without its width: two unpadded convolutions, pooling, one, and back; a margin of 6."""
    inner = CONVS[1](max_pool2d(CONVS[0](x), 2))
    return interpolate(inner, scale_factor=2)


CONVS = [a_net(nn.Conv2d(3, 4, 5), nn.Tanh()), a_net(nn.Conv2d(4, 4, 5))]


def even(px: int) -> int:
    """Next valid side of `pooled`: even, and something must be left."""
    return max(px + px % 2, 14)


def fours(px: int) -> int:
    return -(-px // 4) * 4


def close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5


def test_a_picture_as_a_whole_is_the_softmax_of_the_logits_of_a_tensor_or_the_first_of_a_tuple() -> None:
    x = pictures(2, 3, 9, 12)
    found = whole(PADDED, x)
    assert torch.equal(found, PADDED(x).softmax(1))
    assert torch.equal(found, whole(lambda x: (PADDED(x), None), x))


def test_probabilities_are_in_single_precision_whatever_the_logits_are_in() -> None:
    assert whole(lambda x: PADDED(x).bfloat16(), pictures(1, 3, 8, 8)).dtype == torch.float32


def test_logits_of_an_eighth_are_enlarged() -> None:
    x = pictures(1, 3, 33, 41)
    small = nn.functional.avg_pool2d(x, 8, ceil_mode=True)
    expected = interpolate(small, [33, 41], mode="bilinear", align_corners=False).softmax(1)
    assert torch.equal(whole(lambda x: nn.functional.avg_pool2d(x, 8, ceil_mode=True), x), expected)


@pytest.mark.parametrize("shape", [(7, 12), (4, 5), (50, 31)])
def test_the_margin_is_mirrored_without_repeating_the_border(shape: tuple[int, int]) -> None:
    x = pictures(2, 3, *shape)
    expected = UNPADDED(nn.functional.pad(x, (3, 3, 3, 3), mode="reflect")).softmax(1)
    close(whole(UNPADDED, x, 3), expected)


def test_mirrors_larger_than_the_picture_are_mirrored_again() -> None:
    seen = []

    def see(x: Tensor) -> Tensor:
        seen.append(x)
        return x[..., 4:-4, 4:-4]

    row = torch.tensor([[0.0, 1.0, 2.0]]).expand(1, 3, 1, 3)
    assert whole(see, row, 4).shape == (1, 3, 1, 3)
    assert seen[0].shape == (1, 3, 9, 11)
    assert (seen[0] == torch.tensor([0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2.0])).all()


def test_a_picture_is_made_a_valid_size_and_cropped_back() -> None:
    x, sides = pictures(1, 3, 13, 30), []

    def unet_like(x: Tensor) -> Tensor:
        sides.append(tuple(x.shape[2:]))
        return x[..., 92:-92, 92:-92]

    found = whole(unet_like, x, 92, lambda px: -(-(px - 60) // 16) * 16 + 60)
    assert sides == [(204, 220)]
    close(found, x.softmax(1))


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(7, 40), st.integers(3, 5))
def test_tiles_are_the_whole_where_the_overlap_is_the_reach(height: int, width: int, tile: int, overlap: int) -> None:
    assume(tile > 2 * overlap)
    x = pictures(1, 3, height, width)
    close(tiled(PADDED, x, tile, overlap, stride_px=1), whole(PADDED, x))


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(7, 40))
def test_tiles_need_no_overlap_where_nothing_is_padded(height: int, width: int, tile: int) -> None:
    x = pictures(1, 3, height, width)
    close(tiled(UNPADDED, x, tile, 0, 3, stride_px=1), whole(UNPADDED, x, 3))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(20, 44))
def test_tiles_at_multiples_of_the_stride_are_the_whole(height: int, width: int, tile: int) -> None:
    x = pictures(1, 3, height, width)
    close(tiled(STRIDED, x, tile, 8, fit=fours, stride_px=4), whole(STRIDED, x, fit=fours))


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(14, 40))
def test_tiles_of_a_valid_size_are_the_whole_with_a_margin_and_pooling(height: int, width: int, tile: int) -> None:
    x = pictures(1, 3, height, width)
    close(tiled(pooled, x, tile, 0, 6, even, 2), whole(pooled, x, 6, even))


def test_with_less_overlap_than_the_reach_tiles_are_not_the_whole() -> None:
    x = pictures(1, 3, 40, 40)
    assert (tiled(PADDED, x, 16, 2, stride_px=1) - whole(PADDED, x)).abs().max() > 1e-3


def test_no_tile_is_larger_than_said_and_a_small_picture_is_one() -> None:
    sides: list[tuple[int, ...]] = []

    def watched(x: Tensor) -> Tensor:
        sides.append(tuple(x.shape[2:]))
        return x

    tiled(watched, pictures(1, 3, 200, 70), 96, 16)
    assert max(max(side) for side in sides) <= 96
    # Rows from 0, 64 and 128 (one for the 72 px that are left), columns from 0.
    assert sides == [(96, 70), (96, 70), (72, 70)]
    sides.clear()
    tiled(watched, pictures(1, 3, 40, 5), 96, 16)
    assert sides == [(40, 5)]


def test_a_tile_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ZoetropeError, match=r"evaluate.tile: a tile of 64 px .* set evaluate.tile to 72 or more"):
        tiled(PADDED, pictures(1, 3, 100, 100), 64, 20)


def test_flip_is_the_mean_with_the_mirrored_picture() -> None:
    x = pictures(2, 3, 10, 11)
    expected = (whole(PADDED, x) + whole(PADDED, x.flip(-1)).flip(-1)) / 2
    assert torch.equal(flip(lambda x: whole(PADDED, x), x), expected)
    assert (expected - whole(PADDED, x)).abs().max() > 1e-3


def test_scales_are_the_mean_of_probabilities_brought_back_to_size() -> None:
    x, sides = pictures(1, 3, 11, 20), []

    def answer(x: Tensor) -> Tensor:
        sides.append(tuple(x.shape[2:]))
        return PADDED(x).softmax(1)

    found = scales(answer, x, [0.5, 1, 1.75])
    assert sides == [(6, 10), (11, 20), (19, 35)]  # 5.5 to the even one

    def resized(x: Tensor, *size: int) -> Tensor:
        return interpolate(x, list(size), mode="bilinear", align_corners=False)

    each = [resized(PADDED(resized(x, *side)).softmax(1), 11, 20) for side in sides]
    close(found, sum(each[1:], each[0]) / 3)
    close(found.sum(1), torch.ones(1, 11, 20))


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (64, 1), (45, 101)])
def test_all_together_give_probabilities_of_the_pictures_size(shape: tuple[int, int]) -> None:
    x = pictures(2, 3, *shape)
    options = Options(tile_px=48, overlap_px=8, scales=(0.5, 1.5), flip=True)
    found = probabilities(STRIDED, x, replace(options, fit=fours))
    assert found.shape == (2, 4, *shape)
    close(found.sum(1), torch.ones(2, *shape))
    close(found, probabilities(STRIDED, x, replace(options, fit=fours, tile_px=None)))


def test_by_default_a_picture_is_seen_once_as_a_whole() -> None:
    x = pictures(1, 3, 12, 8)
    assert torch.equal(probabilities(PADDED, x, Options()), whole(PADDED, x))
    assert torch.equal(probabilities(UNPADDED, x, Options(margin_px=3)), whole(UNPADDED, x, 3))


def test_tiles_overlap_by_an_eighth_unless_the_model_has_a_margin() -> None:
    x = pictures(1, 3, 100, 70)
    assert torch.equal(probabilities(PADDED, x, Options(tile_px=64)), tiled(PADDED, x, 64, 8))
    found = probabilities(UNPADDED, x, Options(tile_px=64, margin_px=3))
    assert torch.equal(found, tiled(UNPADDED, x, 64, 0, 3))
