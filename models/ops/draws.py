"""Draws on the device that are functions of a key: no generator, no state, the same on every device and rank."""

import torch
from torch import Tensor

_STEP, _FIRST, _SECOND = (number - (1 << 64) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniform(keys: Tensor, count: int, stream: int = 0) -> Tensor:
    """Draw numbers from 0 up to 1 for each key: int64 [n] -> float32 [n, count].

    stream: another one gives other numbers for the same keys

    SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators"), of which number i is a function
    of the key and i. Products of int64 wrap around.
    """
    start = _mixed(_mixed(keys) + stream)[:, None]
    return _shifted(_mixed(start + torch.arange(1, count + 1, device=keys.device) * _STEP), 40).float() / (1 << 24)


def sampled(among: Tensor, most: Tensor | int, keys: Tensor, stream: int = 0) -> Tensor:
    """Draw at most `most` [n] of the places marked in each row, each set alike: bool [n, P] -> bool [n, P]."""
    drawn = torch.where(among, uniform(keys, among.shape[1], stream), -1)
    order = drawn.sort(dim=1, descending=True, stable=True).indices
    ranks = torch.arange(among.shape[1], device=among.device).expand_as(order)
    limit = most[:, None] if isinstance(most, Tensor) else most
    return among & (torch.empty_like(order).scatter_(1, order, ranks) < limit)


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift to the right, filling up with zeros."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
