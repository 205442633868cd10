"""1x1 convolutions that are dilated, and others that are not, give what they gave."""

import copy

import pytest
import torch
from torch import nn

from models.pointwise import dilate


@pytest.mark.parametrize("threads", [1, 2])
def test_values_gradients_and_keys_stay(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # of which torch's choice of a library depends
    try:
        plain = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Conv2d(8, 16, 1, stride=2),
            nn.Conv2d(16, 8, 1, groups=2),
            nn.Conv2d(8, 4, (1, 3)),
            nn.Unflatten(0, (1, 2)),
        )
        model = copy.deepcopy(plain)
        dilate(model)
        assert [conv.dilation for conv in list(model)[:4]] == [(1, 1), (1, 1), (2, 2), (1, 1)]
        assert model.state_dict().keys() == plain.state_dict().keys()
        x = torch.randn(2, 3, 17, 19)
        y, expected = model(x), plain(x)
        torch.testing.assert_close(y, expected)
        y.square().sum().backward()
        expected.square().sum().backward()
        for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(before)


def test_three_axes() -> None:
    plain = nn.Conv3d(3, 4, 1)
    model = copy.deepcopy(plain)
    dilate(model)
    x = torch.randn(1, 3, 2, 5, 4)
    torch.testing.assert_close(model(x), plain(x))
