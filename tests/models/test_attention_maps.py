"""Attention maps against the same quantities from matrices of all tokens by all tokens."""

from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

import models
from models.attention_maps import (
    attention_rollout,
    attention_weights,
    cls_attention,
    neighbourhoods,
    overlay,
    painted_steps,
)
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


@pytest.mark.parametrize(
    ("attention", "counts"),
    [
        ("space_only", {"space": 16}),
        ("joint_space_time", {"space_time": 64}),
        ("divided_space_time", {"temporal": 4, "space": 16}),
        ("local_global", {"local": 16, "global": 8}),
        ("axial", {"temporal": 4, "width": 4, "height": 4}),
    ],
)
def test_where_a_patch_may_look(attention: AttentionKind, counts: dict[str, int]) -> None:
    """As in the paper's figure 2, on 4 x 4 patches in 4 frames: each step has the patch itself among its keys."""
    query = (1, 2, 3)
    steps = neighbourhoods(attention, (4, 4, 4), query)
    assert {name: int(places.sum()) for name, places in steps.items()} == counts
    assert all(places[query] for places in steps.values())


def test_neighbourhoods_of_axes_and_of_windows() -> None:
    temporal, space = neighbourhoods("divided_space_time", (4, 4, 4), (1, 2, 3)).values()
    assert temporal[1, 2].all()
    assert space[:, :, 3].all()
    local, lattice = neighbourhoods("local_global", (4, 4, 4), (1, 2, 3)).values()
    assert local[:2, 2:].all()
    assert lattice[1::2, ::2, 1::2].all()


def test_steps_are_painted_over_grey_frames() -> None:
    frames = np.full((2, 9, 8, 3), 100, np.uint8)  # a row of pixels more than patches cover
    painted = painted_steps(frames, neighbourhoods("divided_space_time", (2, 2, 2), (0, 0, 1)), (0, 0, 1), 4)
    assert painted[1, 0, 0].tolist() == [40, 90, 255]  # the patch itself
    assert painted[0, 0, 0].tolist() == [160, 80, 75]  # the same place in the other frame: red
    assert painted[1, 7, 7].tolist() == [75, 130, 85]  # another place of the frame: green
    assert painted[0, 7, 7].tolist() == painted[1, 8, 7].tolist() == [100, 100, 100]
