"""Our linear layers against torch's: values, gradients, and every shape that models give them."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.linear import Linear, LinearGELU


@pytest.mark.parametrize("kind", [Linear, LinearGELU])
@pytest.mark.parametrize("shape", [(5, 6), (2, 7, 6), (3, 4, 5, 6), (1, 1, 6), (2, 3, 4, 5, 6), (0, 7, 6)])
@pytest.mark.parametrize("threads", [1, 2])
def test_values_and_gradients(kind: type[Linear], shape: tuple[int, ...], threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # of which torch's choice of a library depends
    try:
        layer = kind(6, 8)
        x = torch.randn(shape, requires_grad=True)
        y = layer(x)
        weight, bias, copy = (tensor.detach().clone().requires_grad_() for tensor in (layer.weight, layer.bias, x))
        expected = functional.linear(copy, weight, bias)
        expected = functional.gelu(expected) if kind is LinearGELU else expected
        assert y.shape == expected.shape
        torch.testing.assert_close(y, expected)
        y.square().sum().backward()
        expected.square().sum().backward()
        for ours, theirs in ((layer.weight, weight), (layer.bias, bias), (x, copy)):
            torch.testing.assert_close(ours.grad, theirs.grad)
    finally:
        torch.set_num_threads(before)


def test_views_of_other_layouts() -> None:
    """Windows and heads are permuted views."""
    layer, plain = Linear(6, 8, bias=False), nn.Linear(6, 8, bias=False)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 6, 3, 5).permute(0, 2, 3, 1)
    for given in (x, x.transpose(0, 1), x[:, ::2], x.flatten(0, 1).transpose(0, 1)):
        torch.testing.assert_close(layer(given), plain(given))
