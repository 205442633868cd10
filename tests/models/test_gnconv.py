"""gnConv and the global filter against their definitions, written out in numpy and in loops."""

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.gnconv import ChannelNorm, GlobalFilter, GnConv, resize_filter
from pipeline.base.errors import ZoetropeError


def digest(module: nn.Module) -> tuple[int, str]:
    lines = [f"{key} {tuple(value.shape)}" for key, value in module.state_dict().items()]
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def test_state_dicts_are_the_releases() -> None:
    assert digest(GnConv(64, 3, scale=1 / 3)) == (10, "9e1b56f70aa63b1b")
    assert digest(GnConv(64, 4, filter_size=(14, 8))) == (16, "911c86c6d91c8001")
    assert digest(GlobalFilter(48, (14, 8))) == (6, "d1f6754af2a38d92")


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_gnconv_is_its_recursion(order: int) -> None:
    """p_0 = first; p_(k+1) = f_k(around_k) * widen_k(p_k) / 3 (equations 3 to 5), a convolution for each k."""
    torch.manual_seed(0)
    module: Any = GnConv(32, order, scale=1 / 3)
    assert module.widths == [32 // 2**k for k in reversed(range(order))]
    x = torch.randn(2, 32, 9, 6)
    with torch.no_grad():
        projected = module.proj_in(x)
        start = module.widths[0]
        y = projected[:, :start]
        for k, width in enumerate(module.widths):
            own = slice(sum(module.widths[:k]), sum(module.widths[:k]) + width)
            gate = nn.functional.conv2d(
                projected[:, start + own.start : start + own.stop],
                module.dwconv.weight[own],
                module.dwconv.bias[own],
                padding=3,
                groups=width,
            )
            y = (y if k == 0 else module.pws[k - 1](y)) * gate / 3
        torch.testing.assert_close(module(x), module.proj_out(y), rtol=1e-4, atol=1e-6)


def test_gnconv_sees_seven_by_seven_places() -> None:
    module = GnConv(8, 2)
    x = torch.zeros(1, 8, 15, 15, requires_grad=True)
    torch.manual_seed(0)
    (gradient,) = torch.autograd.grad(module(x + torch.randn_like(x))[0, :, 7, 7].sum(), x)
    rows, columns = gradient.abs().sum((0, 1)).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 10, 4, 10)


def test_global_filter_is_a_circular_convolution() -> None:
    """The filter's half against sums over the whole map, the map wrapped around, with the filter in space."""
    torch.manual_seed(0)
    module = GlobalFilter(4, (4, 4))
    x = torch.randn(1, 2, 4, 6)
    kernels = np.fft.irfft2(torch.view_as_complex(module.complex_weight.detach()).numpy(), s=(4, 6))
    expected = np.zeros((1, 2, 4, 6))
    for c, i, j, m, n in np.ndindex(2, 4, 6, 4, 6):
        expected[0, c, i, j] += kernels[c, m, n] * x[0, c, (i - m) % 4, (j - n) % 6].item()
    with torch.no_grad():
        np.testing.assert_allclose(module._filtered(x).numpy(), expected, atol=1e-5)


def test_global_filter_interleaves_its_halves() -> None:
    torch.manual_seed(0)
    module = GlobalFilter(6, (5, 3))
    x = torch.randn(2, 6, 5, 5)
    with torch.no_grad():
        normed = module.pre_norm(x)
        local, whole = module.dw(normed[:, :3]), module._filtered(normed[:, 3:])
        mixed = torch.empty_like(x)
        mixed[:, 0::2], mixed[:, 1::2] = local, whole
        torch.testing.assert_close(module(x), module.post_norm(mixed))


def test_filters_resize_with_aligned_corners() -> None:
    weight = torch.tensor([[0.0, 2.0], [4.0, 6.0]]).reshape(1, 2, 2, 1).expand(3, 2, 2, 2)
    assert resize_filter(weight, (2, 2)) is weight
    resized = resize_filter(weight, (3, 5))
    assert resized.shape == (3, 3, 5, 2)
    assert resized[0, :, :, 0].tolist() == [[0, 0.5, 1, 1.5, 2], [2, 2.5, 3, 3.5, 4], [4, 4.5, 5, 5.5, 6]]


@pytest.mark.parametrize("size", [(14, 14), (9, 11), (1, 1), (2, 7)])
def test_global_filter_takes_other_sizes(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    module, x = GlobalFilter(8, (14, 8)), torch.randn(2, 8, *size)
    exact = GlobalFilter(8, (size[0], size[1] // 2 + 1))
    weights: dict[str, Tensor] = dict(module.state_dict())
    weights["complex_weight"] = resize_filter(module.complex_weight, (size[0], size[1] // 2 + 1))
    exact.load_state_dict(weights)
    with torch.no_grad():
        assert module(x).shape == x.shape
        torch.testing.assert_close(module(x), exact(x))


def test_frequencies_stay_float32_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    module, seen = GlobalFilter(8, (6, 4)), []
    transform = torch.fft.rfft2

    def spy(x: Tensor, **options: Any) -> Tensor:
        spectrum = transform(x, **options)
        seen.append((x.dtype, spectrum.dtype))
        return spectrum

    monkeypatch.setattr(torch.fft, "rfft2", spy)
    x = torch.randn(1, 8, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        filtered = module._filtered(x[:, :4].bfloat16())
        out = module(x)
    assert seen == [(torch.float32, torch.complex64)] * 2
    assert filtered.dtype == torch.float32
    out.float().sum().backward()
    # A whole model in half precision has its filter in float32 too.
    assert module.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    assert seen[2] == (torch.float32, torch.complex64)


def test_channel_norm() -> None:
    torch.manual_seed(0)
    norm, x = ChannelNorm(5), torch.randn(2, 5, 3, 4)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    expected = (x - mean) / (variance + 1e-6).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)
    assert norm(x).is_contiguous(memory_format=torch.channels_last)


def test_channels_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(
        ZoetropeError, match="order 4 halves its channels 3 times, so they must be a multiple of 8; got 12"
    ):
        GnConv(12, 4)
    with pytest.raises(ZoetropeError, match="halves its channels, so 7 of them will not do"):
        GlobalFilter(7, (4, 3))
