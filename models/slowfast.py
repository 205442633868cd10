"""SlowFast (Feichtenhofer et al. 2019, "SlowFast networks for video recognition"): few frames in many channels beside
many frames in few, with PySlowFast's names of parameters.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.pathway import BLOCKS, Stage, Stem, initialise
from models.volume import check_clip

# Table 1: kernels along time of the first convolutions, of the slow pathway's four stages and of the fast one's.
SLOW = (1, 1, 3, 3)
FAST = 3
FEWER = 8
"""Channels of the slow pathway over those of the fast one: 1 / beta of the paper."""


class Fusion(nn.Module):
    """Lateral connection (section 3.4): [B, C, T, H, W] -> [B, 2C, ceil(T/alpha), H, W], every `alpha`-th time."""

    def __init__(self, channels: int, kernel: int, alpha: int) -> None:
        super().__init__()
        size, strides, padding = (kernel, 1, 1), (alpha, 1, 1), (kernel // 2, 0, 0)
        self.conv_f2s = nn.Conv3d(channels, 2 * channels, size, strides, padding, bias=False)
        self.bn = nn.BatchNorm3d(2 * channels)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Put what the fast pathway [B, C, T, H, W] says behind the channels of the slow one."""
        return torch.cat([slow, functional.relu(self.bn(self.conv_f2s(fast)), inplace=True)], 1)


class SlowFast(nn.Module):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free.

    The fast pathway sees all frames, the slow one every `alpha`-th of the same clip, see `slow_frames`. Of the third
    stage, the first `temporal_blocks` have kernels of three places in time.
    """

    def __init__(
        self,
        depth: Literal[50, 101],
        *,
        num_classes: int,
        width: int,
        in_channels: int,
        dropout: float,
        alpha: int,
        fusion_kernel: int,
        temporal_blocks: int = 6,
    ) -> None:
        super().__init__()
        self.in_channels, self.alpha = in_channels, alpha
        fast = width // FEWER
        self.s1 = nn.ModuleDict(
            {"pathway0_stem": Stem(in_channels, width, 1), "pathway1_stem": Stem(in_channels, fast, 5)}
        )
        self.s1_fuse = Fusion(fast, fusion_kernel, alpha)
        into = (width + 2 * fast, fast)
        for i, blocks in enumerate(BLOCKS[depth]):
            stage = Stage()
            inner = (width * 2**i, fast * 2**i)
            for pathway, first in enumerate((SLOW[i], FAST)):
                kernels = (first,) * (temporal_blocks if i == 2 else blocks) + (1,) * (blocks - temporal_blocks)
                stage.add_pathway(pathway, into[pathway], inner[pathway], blocks, 1 if i == 0 else 2, kernels)
            self.add_module(f"s{i + 2}", stage)
            if i < 3:
                self.add_module(f"s{i + 2}_fuse", Fusion(4 * inner[1], fusion_kernel, alpha))
            into = (4 * inner[0] + 8 * inner[1], 4 * inner[1])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.ModuleDict({"projection": nn.Linear(32 * (width + fast), num_classes)})
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> [B, 36 * width], the means of the slow pathway first."""
        check_clip(self, x, self.in_channels)
        slow = self.s1["pathway0_stem"](x[:, :, slow_frames(x.shape[2], self.alpha)])
        fast = self.s1["pathway1_stem"](x)
        for i in range(1, 5):
            slow = self.get_submodule(f"s{i}_fuse")(slow, fast)
            stage: Any = self.get_submodule(f"s{i + 1}")
            slow, fast = stage.run(0, slow), stage.run(1, fast)
        return torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes]."""
        return self.head["projection"](self.dropout(self.features(x)))


def slow_frames(frames: int, alpha: int) -> list[int]:
    """Return which frames the slow pathway sees: 1/alpha of them, rounded up, the first and the last among them.

    The release spreads them over the clip so, while the fast pathway's places that join them are 0, alpha, 2 alpha...
    """
    count = -(-frames // alpha)
    return [i * (frames - 1) // max(count - 1, 1) for i in range(count)]
