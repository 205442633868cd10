"""TimeSformer's divided attention written down as the paper's equations 5 to 9 read, as a peer for benchmarks.

Softmax is explicit, groups are made by transposing and copying, CLS is treated as in the release. Parameters have the
names of `models.timesformer`, so that both run on the same weights.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.timesformer import Block, TimeSformer


def make_direct(model: TimeSformer) -> TimeSformer:
    """Make `model`, of divided attention, run the direct transcription; returned for convenience."""
    for block in model.blocks:
        assert isinstance(block, Block)
        block.forward = DirectBlock(block)  # type: ignore[method-assign]  # the other way to do it
    return model


class DirectBlock:
    """What a block does to tokens [B, 1 + N*T, D], equation by equation."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def __call__(self, tokens: Tensor, size: tuple[int, int, int]) -> Tensor:
        block = self.block
        batch, _, width = tokens.shape
        frames, places = size[2], size[0] * size[1]

        # Equation 7: the same place in all frames.
        patches = tokens[:, 1:]
        over_time = patches.reshape(batch * places, frames, width)
        temporal_norm1, temporal_attn, temporal_fc = (
            block.get_submodule(f"temporal_{name}") for name in ("norm1", "attn", "fc")
        )
        taken = temporal_fc(block.drop_path(attend(temporal_norm1(over_time), temporal_attn)))
        patches = patches + taken.reshape(batch, places * frames, width)

        # Equation 8: all places of a frame, and CLS.
        cls = tokens[:, :1]
        over_space = patches.reshape(batch, places, frames, width).transpose(1, 2).reshape(-1, places, width)
        every_cls = cls.repeat(1, frames, 1).reshape(batch * frames, 1, width)
        sequence = torch.cat([every_cls, over_space], dim=1)
        taken = block.drop_path(attend(block.norm1(sequence), block.attn))
        cls_taken = taken[:, 0].reshape(batch, frames, width).mean(1, keepdim=True)
        taken = taken[:, 1:].reshape(batch, frames, places, width).transpose(1, 2).reshape(batch, -1, width)
        tokens = torch.cat([cls, patches], dim=1) + torch.cat([cls_taken, taken], dim=1)

        # Equation 9.
        return tokens + block.drop_path(block.mlp(block.norm2(tokens)))


def attend(x: Tensor, attention: Any) -> Tensor:
    """Equations 1, 5 and 6 with the projection after them: [G, L, D] -> [G, L, D]."""
    groups, length, width = x.shape
    heads = attention.heads
    qkv = attention.qkv(x).reshape(groups, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    query, key, value = qkv[0], qkv[1], qkv[2]
    scores = (query @ key.transpose(-2, -1)) * (width // heads) ** -0.5
    weights = functional.softmax(scores, dim=-1)
    return attention.proj((weights @ value).transpose(1, 2).reshape(groups, length, width))
