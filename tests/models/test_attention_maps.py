"""Attention maps against the same quantities from matrices of all tokens by all tokens."""

from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

import models
from models.attention_maps import attention_rollout, attention_weights, cls_attention, overlay
from models.space_time import Grouping
from models.timesformer import SCHEMES, AttentionKind

KINDS = get_args(AttentionKind)
CLIPS, FRAMES, SIDE = 2, 3, 3


def tiny(attention: str) -> tuple[Any, Tensor]:
    torch.manual_seed(0)
    model = models.build(
        "timesformer_base", 5, attention=attention, width=12, depth=2, heads=3, patch_px=8, size_px=24, frames=FRAMES
    )
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model, torch.randn(CLIPS, 3, FRAMES, 24, 24)


def dense(grouping: Grouping, weights: list[Tensor], size: tuple[int, int, int], cls: bool) -> Tensor:
    """Weights by groups, heads averaged -> [B, 1 + N, 1 + N] over (CLS, then h, w, t)."""
    count = size[0] * size[1] * size[2]
    numbers = torch.arange(1, count + 1).reshape(1, *size, 1)
    matrix = torch.zeros(len(weights[0]), 1 + count, 1 + count)
    pieces = [piece[0, :, :, 0] for piece in grouping.split(numbers)]
    groups = sum(len(piece) for piece in pieces)
    if not cls:
        matrix[:, 0, 0] = 1
    for piece, weight in zip(pieces, weights, strict=True):
        for g, places in enumerate(piece.tolist()):
            tokens = [0, *places] if cls else places
            for (i, row), (j, column) in product(enumerate(tokens), enumerate(tokens)):
                matrix[:, row, column] += weight[:, g, :, i, j].mean(1) / (groups if row == 0 else 1)
    return matrix


def with_keys_alone(matrix: Tensor) -> Tensor:
    """CLS is taken from, and stays what it is."""
    matrix[:, 0] = torch.eye(matrix.shape[1])[0]
    return matrix


def steps(model: Any, blocks: list[dict[str, list[Tensor]]], size: tuple[int, int, int]) -> list[Tensor]:
    """Every step's dense matrix, in the order in which they are taken."""
    scheme = SCHEMES[model.attention]
    groupings = {**scheme.first, scheme.last[0]: scheme.last[1]}
    return [
        with_keys_alone(dense(groupings[name], weights, size, cls=True))
        if scheme.cls_is_key and name in scheme.first
        else dense(groupings[name], weights, size, cls=name == scheme.last[0])
        for block in blocks
        for name, weights in block.items()
    ]


@pytest.mark.parametrize("attention", KINDS)
def test_weights_are_shares_and_leave_no_trace(attention: AttentionKind) -> None:
    model, x = tiny(attention)
    before = model.training
    blocks = attention_weights(model, x)
    assert len(blocks) == 2
    assert list(blocks[0]) == [*SCHEMES[attention].first, SCHEMES[attention].last[0]]
    for weights in (piece for block in blocks for pieces in block.values() for piece in pieces):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    assert model.training == before
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_weights_are_those_that_the_block_used() -> None:
    """The first block's weights over time, from the tokens that it saw."""
    model, x = tiny("divided_space_time")
    weights = attention_weights(model, x)[0]["temporal"][0]
    assert weights.shape == (CLIPS, SIDE * SIDE, 3, FRAMES, FRAMES)
    with torch.no_grad():
        tokens, _ = model.embed(x)
        block = model.blocks[0]
        place = tokens[1:, 1:].reshape(1, SIDE * SIDE, FRAMES, 12)[:, 4]
        expected = block.temporal_attn.weights(block.temporal_norm1(place))[0]
    torch.testing.assert_close(weights[1, 4], expected)


@pytest.mark.parametrize("attention", KINDS)
def test_cls_attention_is_its_row(attention: str) -> None:
    model, x = tiny(attention)
    maps = cls_attention(model, x)
    assert maps.shape == (CLIPS, 2, 3, FRAMES, SIDE, SIDE)
    frames = 1 if attention == "space_only" else FRAMES
    per_block = steps(model, attention_weights(model, x), (SIDE, SIDE, frames))
    rows = per_block[-1][:, 0, 1:].reshape(-1, SIDE, SIDE, frames)
    expected = rows.permute(0, 3, 1, 2).reshape(CLIPS, FRAMES, SIDE, SIDE) * frames / FRAMES
    torch.testing.assert_close(maps[:, -1].mean(1), expected)


@pytest.mark.parametrize("attention", KINDS)
def test_rollout_equals_the_product_of_matrices(attention: str) -> None:
    model, x = tiny(attention)
    frames = 1 if attention == "space_only" else FRAMES
    total = torch.eye(1 + SIDE * SIDE * frames)
    for matrix in steps(model, attention_weights(model, x), (SIDE, SIDE, frames)):
        step = matrix / 2 + torch.eye(matrix.shape[-1]) / 2
        total = step @ total
    rows = total[:, 0, 1:].reshape(-1, SIDE, SIDE, frames)
    expected = rows.permute(0, 3, 1, 2).reshape(CLIPS, FRAMES, SIDE, SIDE) * frames / FRAMES
    rollout = attention_rollout(model, x)
    torch.testing.assert_close(rollout, expected)
    assert (rollout.sum((1, 2, 3)) < 1).all()


def test_overlay_is_red_where_attention_is_and_blue_elsewhere() -> None:
    frames = np.full((2, 32, 32, 3), 128, np.uint8)
    maps = torch.zeros(2, 4, 4)
    maps[1, 0, 3] = 0.01
    painted = overlay(frames, maps)
    assert (painted.shape, painted.dtype) == ((2, 32, 32, 3), np.uint8)
    # 0.6 of the grey, 0.4 of the colour map's ends, (0, 0, 128) and (128, 0, 0).
    assert painted[0].reshape(-1, 3).tolist() == [[77, 77, 128]] * 1024
    assert painted[1, 0, 31].tolist() == [128, 77, 77]
    assert painted[1, 31, 0].tolist() == [77, 77, 128]
    assert overlay(frames, torch.full((2, 4, 4), 0.3))[0, 0, 0].tolist() == [77, 77, 128]
