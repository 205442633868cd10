"""The non-local block (Wang et al. 2018, "Non-local neural networks", section 3) as the release of TSM uses it.

Embedded Gaussian: softmax attention without scaling, from every position of a clip to every position of a copy of it
that is pooled in space. Names of parameters are those of the release.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from models.resnet import Backbone


class NonLocal(nn.Module):
    """Attention added to its input [B*T, C, H, W]. Its norm starts at zero, so the block starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.g = nn.Sequential(nn.Conv3d(channels, inner, 1), _pool())
        norm = nn.BatchNorm3d(channels)
        self.W = nn.Sequential(nn.Conv3d(inner, channels, 1), norm)
        self.theta = nn.Conv3d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv3d(channels, inner, 1), _pool())
        nn.init.zeros_(norm.weight)
        nn.init.zeros_(norm.bias)

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """Map [B*T, C, H, W] -> [B*T, C, H, W]; positions of one clip see each other."""
        clips = x.unflatten(0, (-1, num_frames)).transpose(1, 2)
        # One head, tokens [B, 1, T*H*W, C/2].
        query, key, value = (y.flatten(2).mT.unsqueeze(1) for y in (self.theta(clips), self.phi(clips), self.g(clips)))
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        mixed = mixed.squeeze(1).mT.unflatten(2, clips.shape[2:])
        return x + self.W(mixed).transpose(1, 2).flatten(0, 1)


class WithNonLocal(nn.Module):
    """A residual block and the non-local block behind it; TSN runs the two, because they need the number of frames."""

    def __init__(self, block: nn.Module, channels: int) -> None:
        super().__init__()
        self.block = block
        self.nl = NonLocal(channels)


def add_non_local(backbone: Backbone) -> None:
    """Put a non-local block behind every other block of the second and third stage, in place.

    For ResNet-50 these are the release's five; the release has no other depth.
    """
    for stage in (backbone.layer2, backbone.layer3):
        for i in range(0, len(stage), 2):
            stage[i] = WithNonLocal(stage[i], _out_channels(stage))


def _out_channels(stage: nn.Sequential) -> int:
    """Return the channels of a stage's blocks, all of which give as many channels as its first shortcut makes."""
    return next(m for name, m in stage.named_modules() if name.endswith("downsample.0")).out_channels


def _pool() -> nn.MaxPool3d:
    # Rounding up changes nothing on even sizes, and keeps a map of one pixel.
    return nn.MaxPool3d((1, 2, 2), ceil_mode=True)
