"""TimeSformer (Bertasius et al. 2021, "Is space-time attention all you need for video understanding?").

A vision transformer whose blocks attend over space and time in one of five ways (section 3.2). Names of parameters and
initial values are those of the official release, whose divided attention differs from the paper's equations in that
the class token (CLS) takes no part in attention over time; with `divided_space_time_cls` it is among the keys, as the
equations have it. For the schemes that were never released (L+G and T+W+H),
what the paper leaves open is decided here, in the release's manner; `SCHEMES` says how.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from models.attention import Attention, Mlp
from models.drop_path import DropPath, drop_path_rates
from models.linear import Linear
from models.space_time import Grouping, Size, lattices, quarters
from pipeline.base.errors import ZoetropeError

AttentionKind = Literal[
    "space_only", "joint_space_time", "divided_space_time", "divided_space_time_cls", "local_global", "axial"
]

# Official: LayerNorm as in ViT.
EPS = 1e-6


@dataclass(frozen=True)
class Scheme:
    """How a block attends, one step after the other.

    `first`: steps among patches alone, each with its own norm, attention and zero-started linear layer. `last`: the
    step that ViT's weights start, where CLS joins every group and takes the mean of what it gets from them. With
    `cls_is_key`, patches take from CLS in the first steps, too, and CLS takes nothing there.
    """

    first: dict[str, Grouping]
    last: tuple[str, Grouping]
    cls_is_key: bool = False


SCHEMES: dict[AttentionKind, Scheme] = {
    # Frame by frame (the frames are samples of their own until the last norm), and all patches of all frames at once.
    "space_only": Scheme({}, ("space", Grouping("hwt"))),
    "joint_space_time": Scheme({}, ("space_time", Grouping("hwt"))),
    # T+S: the same place in all frames, then all places of the frame.
    "divided_space_time": Scheme({"temporal": Grouping("t")}, ("space", Grouping("hw"))),
    # The same by equations 5 to 8: keys of a patch over time are CLS and the same place in all frames.
    "divided_space_time_cls": Scheme({"temporal": Grouping("t")}, ("space", Grouping("hw")), cls_is_key=True),
    # L+G: a patch's neighbourhood of F x H/2 x W/2 is the quarter of the frame in which it lies, in all frames; its
    # sparse view of the clip, of stride 2 in time, height and width, is the lattice through itself.
    "local_global": Scheme({"local": Grouping("hwt", quarters)}, ("global", Grouping("hwt", lattices))),
    # T+W+H: along time, along the row, along the column.
    "axial": Scheme({"temporal": Grouping("t"), "width": Grouping("w")}, ("height", Grouping("h"))),
}


class Block(nn.Module):
    """A transformer's block, its norms before attention and MLP: tokens [B, 1 + H*W*T, D] -> the same shape."""

    def __init__(self, width: int, heads: int, drop_path: float, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        for step in scheme.first:
            self.add_module(f"{step}_norm1", nn.LayerNorm(width, eps=EPS))
            self.add_module(f"{step}_attn", Attention(width, heads))
            self.add_module(f"{step}_fc", Linear(width, width))
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        """Map tokens [B, 1 + H*W*T, D], CLS first, of a grid of `size` = (H, W, T) -> the same shape."""
        if self.scheme.first:
            tokens = self._attend_in_steps(tokens, size)
        else:
            tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))

    def _attend_in_steps(self, tokens: Tensor, size: Size) -> Tensor:
        cls, patches = tokens[:, :1], tokens[:, 1:].unflatten(1, size)
        for step, grouping in self.scheme.first.items():
            norm, attn, fc = (self.get_submodule(f"{step}_{name}") for name in ("norm1", "attn", "fc"))
            groups = grouping.split(patches)
            if self.scheme.cls_is_key:
                taken = [self._among(_behind(cls, group), norm, attn, fc)[:, :, 1:] for group in groups]
            else:
                taken = [self._among(group, norm, attn, fc) for group in groups]
            patches = patches + grouping.merge(taken, size)

        _, grouping = self.scheme.last
        taken = [self._among(_behind(cls, group), self.norm1, self.attn) for group in grouping.split(patches)]
        cls = cls + torch.cat([group[:, :, 0] for group in taken], dim=1).mean(1, keepdim=True)
        patches = patches + grouping.merge([group[:, :, 1:] for group in taken], size)
        return torch.cat([cls, patches.flatten(1, 3)], dim=1)

    def _among(self, groups: Tensor, norm: nn.Module, attn: nn.Module, fc: nn.Module | None = None) -> Tensor:
        """Compute attention inside each of the groups [B, G, L, D].

        A dropped path drops one group, as in the release.
        """
        taken = self.drop_path(attn(norm(groups.flatten(0, 1))))
        return (taken if fc is None else fc(taken)).unflatten(0, groups.shape[:2])


def _behind(cls: Tensor, group: Tensor) -> Tensor:
    """Put CLS [B, 1, D] in front of each sequence: [B, G, L, D] -> [B, G, 1 + L, D]."""
    return torch.cat([cls[:, None].expand(-1, group.shape[1], -1, -1), group], dim=2)


class PatchEmbed(nn.Module):
    """Cuts frames into square patches: float [B, in_channels, H, W] -> [B, D, H/patch_px, W/patch_px]."""

    def __init__(self, width: int, patch_px: int, in_channels: int = 3) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, patch_px, stride=patch_px)

    def forward(self, frames: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, D, H/patch_px, W/patch_px]; what does not fill a patch is cut off."""
        return self.proj(frames)


class TimeSformer(nn.Module):
    """A video classifier: float [B, 3, T, H, W] -> logits [B, num_classes].

    T, H and W are free: embeddings of position and time that do not fit are resized (nearest) on the way.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        attention: AttentionKind,
        width: int,
        depth: int,
        heads: int,
        patch_px: int,
        size_px: int,
        frames: int,
        drop_path: float,
        gradient_checkpointing: bool,
    ) -> None:
        super().__init__()
        check_sizes("TimeSformer", width, heads, size_px, patch_px)
        self.attention = attention
        self.gradient_checkpointing = gradient_checkpointing
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (size_px // patch_px) ** 2, width))
        if attention != "space_only":
            self.time_embed = nn.Parameter(torch.zeros(1, frames, width))
        self.patch_embed = PatchEmbed(width, patch_px)
        scheme = SCHEMES[attention]
        self.blocks = nn.ModuleList(Block(width, heads, rate, scheme) for rate in drop_path_rates(drop_path, depth))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.head = nn.Linear(width, num_classes)
        _initialise(self)

    def embed(self, x: Tensor) -> tuple[Tensor, Size]:
        """Map float [B, 3, T, H, W] -> tokens [B, 1 + h*w*T, D] and (h, w, T); with space_only [B*T, 1 + h*w, D], 1
        frame.

        ZoetropeError when `x` is no clip, or smaller than a patch.
        """
        patch_px = self.patch_embed.proj.stride[0]
        if x.dim() != 5 or min(x.shape[3:]) < patch_px:
            raise ZoetropeError(
                f"TimeSformer takes clips [B, 3, T, H, W] of at least {patch_px} x {patch_px} px, "
                f"got the shape {tuple(x.shape)}"
            )
        num_frames = x.shape[2]
        maps = self.patch_embed(x.transpose(1, 2).flatten(0, 1))
        height, width = maps.shape[2:]
        positions = resize_positions(self.pos_embed, (height, width))
        patches = maps.flatten(2).transpose(1, 2) + positions[:, 1:]
        cls = self.cls_token + positions[:, :1]
        if self.attention == "space_only":
            return torch.cat([cls.expand(patches.shape[0], -1, -1), patches], dim=1), (height, width, 1)
        # Frames become the last axis of the grid, so that a place's tokens of all times are neighbours in memory.
        grid = patches.unflatten(0, (-1, num_frames)).transpose(1, 2) + resize_times(self.time_embed, num_frames)
        return torch.cat([cls.expand(grid.shape[0], -1, -1), grid.flatten(1, 2)], dim=1), (height, width, num_frames)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, 3, T, H, W] -> [B, width]: CLS after the last norm, what the head takes."""
        tokens, size = self.embed(x)
        for block in self.blocks:
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, size, use_reentrant=False)
            else:
                tokens = block(tokens, size)
        cls = tokens[:, 0]
        if self.attention == "space_only":
            cls = cls.unflatten(0, (-1, x.shape[2])).mean(1)
        return self.norm(cls)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, 3, T, H, W] -> logits [B, num_classes]."""
        return self.head(self.features(x))


def check_sizes(what: str, width: int, heads: int, size_px: int, patch_px: int) -> None:
    """Raise ZoetropeError where tokens cannot be cut into heads, or nothing into patches."""
    if width % heads:
        raise ZoetropeError(f"{what}'s width={width} must be a multiple of its heads={heads}")
    if size_px < patch_px:
        raise ZoetropeError(f"{what}'s size_px={size_px} must hold at least one patch of patch_px={patch_px}")


def resize_positions(
    pos_embed: Tensor, size: tuple[int, int], mode: Literal["nearest", "bicubic"] = "nearest"
) -> Tensor:
    """Map [1, 1 + P*P, D] -> [1, 1 + h*w, D] for `size` = (h, w); CLS's stays.

    TimeSformer's release takes the nearest; torchvision's ViT is bicubic, with corners aligned.
    """
    side = round((pos_embed.shape[1] - 1) ** 0.5)
    if size == (side, side):
        return pos_embed
    square = pos_embed[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    resized = functional.interpolate(square, size=size, mode=mode, align_corners=True if mode == "bicubic" else None)
    return torch.cat([pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


def resize_times(time_embed: Tensor, num_frames: int) -> Tensor:
    """Map [1, T, D] -> [1, num_frames, D]: nearest, as the release."""
    if time_embed.shape[1] == num_frames:
        return time_embed
    return functional.interpolate(time_embed.transpose(1, 2), size=num_frames, mode="nearest").transpose(1, 2)


def _initialise(model: TimeSformer) -> None:
    """Initialise as the release: truncated normals of 0.02; embeddings of time and the layers after added attentions at
    zero.

    So a fresh model attends over space alone, and ViT's weights, when loaded, start by giving ViT's features.
    """
    nn.init.trunc_normal_(model.pos_embed, std=0.02)
    nn.init.trunc_normal_(model.cls_token, std=0.02)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            if name.endswith("_fc"):
                nn.init.zeros_(module.weight)
            else:
                nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
