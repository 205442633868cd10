"""What networks of 3D convolutions share, against torch's own where it takes the same."""

import pytest
import torch
from torch import nn

from models.volume import MaxPool, check_clip, window_means
from pipeline.base.errors import ZoetropeError


def test_pools_are_torchs_where_maps_are_large_enough() -> None:
    x = torch.randn(2, 3, 5, 8, 9)
    for kernel, stride, padding in (((2, 2, 2), (2, 2, 2), (0, 0, 0)), ((1, 3, 3), (1, 2, 2), (0, 1, 1))):
        expected = nn.functional.max_pool3d(x, kernel, stride, padding)
        assert torch.equal(MaxPool(kernel, stride, padding)(x), expected)
    assert torch.equal(window_means(x, (2, 7, 7)), nn.functional.avg_pool3d(x, (2, 7, 7), 1))


def test_an_axis_of_one_place_keeps_it() -> None:
    x = torch.randn(2, 3, 1, 4, 1)
    pooled = MaxPool((2, 2, 2), (2, 2, 2))(x)
    assert torch.equal(pooled, nn.functional.max_pool3d(x, (1, 2, 1)))
    assert window_means(x, (2, 7, 7)).shape == (2, 3, 1, 1, 1)


def test_what_is_no_clip_is_refused_in_words() -> None:
    with pytest.raises(ZoetropeError, match=r"Identity takes clips \[B, 3, T, H, W\], got the shape \(2, 3, 8, 8\)"):
        check_clip(nn.Identity(), torch.zeros(2, 3, 8, 8), 3)
    with pytest.raises(ZoetropeError, match=r"takes clips \[B, 2, T, H, W\], got the shape \(2, 3, 4, 8, 8\)"):
        check_clip(nn.Identity(), torch.zeros(2, 3, 4, 8, 8), 2)
