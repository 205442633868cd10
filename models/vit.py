"""Vision transformer (Dosovitskiy et al. 2021, "An image is worth 16x16 words"), with timm's names of parameters.

Its blocks are TimeSformer's without time. Initial values are those of torchvision.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.attention import Attention, Mlp
from models.drop_path import drop_path_rates
from models.timesformer import EPS, SCHEMES, Block, PatchEmbed, check_sizes, resize_positions
from pipeline.base.errors import ZoetropeError


class ViT(nn.Module):
    """An image classifier: float [B, in_channels, H, W] -> logits [B, num_classes].

    H and W are free: embeddings of position that do not fit are resized (bicubic) on the way.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        width: int,
        depth: int,
        heads: int,
        patch_px: int,
        size_px: int,
        drop_path: float,
        gradient_checkpointing: bool,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_sizes("ViT", width, heads, size_px, patch_px)
        self.gradient_checkpointing = gradient_checkpointing
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        # Not `pos_embed`: a loader tells by the name that it is resized by another rule than TimeSformer's.
        self.pos_embedding = nn.Parameter(torch.empty(1, 1 + (size_px // patch_px) ** 2, width))
        self.patch_embed = PatchEmbed(width, patch_px, in_channels)
        rates = drop_path_rates(drop_path, depth)
        self.blocks = nn.ModuleList(Block(width, heads, rate, SCHEMES["space_only"]) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.head = nn.Linear(width, num_classes)
        _initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, width]: the class token after the last norm, what the head takes.

        ZoetropeError when `x` is no image batch, or smaller than a patch.
        """
        patch_px = self.patch_embed.proj.stride[0]
        if x.dim() != 4 or min(x.shape[2:]) < patch_px:
            raise ZoetropeError(
                f"ViT takes images [B, C, H, W] of at least {patch_px} x {patch_px} px, got the shape {tuple(x.shape)}"
            )
        maps = self.patch_embed(x)
        height, width = maps.shape[2:]
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), maps.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + resize_positions(self.pos_embedding, (height, width), "bicubic")
        for block in self.blocks:
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, (height, width, 1), use_reentrant=False)
            else:
                tokens = block(tokens, (height, width, 1))
        return self.norm(tokens[:, 0])

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.head(self.features(x))


def _initialise(model: ViT) -> None:
    """Initialise as torchvision: the head at zero, so that all classes are as likely at first."""
    nn.init.normal_(model.pos_embedding, std=0.02)
    patches = model.patch_embed.proj
    nn.init.trunc_normal_(patches.weight, std=patches.weight[0].numel() ** -0.5)
    nn.init.zeros_(patches.bias)  # type: ignore[arg-type]  # there is one
    for module in model.modules():
        if isinstance(module, Attention):
            nn.init.xavier_uniform_(module.qkv.weight)
            nn.init.zeros_(module.qkv.bias)
            nn.init.zeros_(module.proj.bias)
        elif isinstance(module, Mlp):
            for layer in (module.fc1, module.fc2):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.normal_(layer.bias, std=1e-6)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
