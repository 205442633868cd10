"""Two-stream networks of video: one stream sees frames, the other optical flow (Simonyan & Zisserman 2014).

`LateFusion` averages the logits of two whole networks, as I3D's two streams are (Carreira & Zisserman 2017, "Quo vadis,
action recognition?", section 2.4). `MidFusion` is the network of Feichtenhofer et al. 2016, "Convolutional two-stream
network fusion for video action recognition": two image networks, whose maps a 3D convolution takes.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.resnet import Backbone
from models.vgg import STAGES, convolutions
from models.volume import MaxPool
from pipeline.base.errors import ZoetropeError


class TwoStream(nn.Module):
    """What both have: `rgb` and `flow`, which weights of a network of one stream start, each by itself."""

    rgb: nn.Module
    flow: nn.Module

    def __init__(self, flow_channels: int) -> None:
        super().__init__()
        self.flow_channels = flow_channels

    @property
    def streams(self) -> dict[str, nn.Module]:
        """Both networks by their names."""
        return {"rgb": self.rgb, "flow": self.flow}

    def both(self, x: Tensor, flow: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return frames [B, 3, T, H, W] and flow [B, flow_channels, T, H, W]; without `flow`, x is both side by side.

        ZoetropeError for others.
        """
        if flow is None:
            x, flow = x[:, : -self.flow_channels], x[:, -self.flow_channels :]
        same = x.dim() == 5 and (flow.shape[0], *flow.shape[2:]) == (x.shape[0], *x.shape[2:])
        if not same or (x.shape[1], flow.shape[1]) != (3, self.flow_channels):
            raise ZoetropeError(
                f"{type(self).__name__} takes clips [B, 3, T, H, W] and flow [B, {self.flow_channels}, T, H, W], got "
                f"the shapes {tuple(x.shape)} and {tuple(flow.shape)}"
            )
        return x, flow


class LateFusion(TwoStream):
    """A video classifier: frames [B, 3, T, H, W] and flow [B, 2 L, T, H, W] -> the mean of two networks' logits."""

    def __init__(self, rgb: nn.Module, flow: nn.Module, flow_channels: int) -> None:
        super().__init__(flow_channels)
        self.rgb, self.flow = rgb, flow

    def features(self, x: Tensor, flow: Tensor | None = None) -> Tensor:
        """Map frames and flow, see `both`, -> [B, D]: the features of one network before those of the other."""
        x, flow = self.both(x, flow)
        return torch.cat([self.rgb.features(x), self.flow.features(flow)], 1)  # type: ignore[operator]  # both have it

    def forward(self, x: Tensor, flow: Tensor | None = None) -> Tensor:
        """Map frames and flow, see `both`, -> logits [B, num_classes]."""
        x, flow = self.both(x, flow)
        return (self.rgb(x) + self.flow(flow)) / 2


class VGGTower(nn.Module):
    """VGG-16 to its last ReLU: float [B, in_channels, H, W] -> [B, 8 width, H/16, W/16]."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.num_features = 8 * width
        whole = convolutions(STAGES, in_channels=in_channels, width=width, rounds_up=False)
        self.features = whole[:-1]  # without the last pool

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, 8 width, H/16, W/16]."""
        return self.features(x)


class ResNetTower(Backbone):
    """ResNet without its head: float [B, in_channels, H, W] -> [B, num_features, H/32, W/32]."""

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features, H/32, W/32]."""
        return self.maps(x)[-1]


class MidFusion(TwoStream):
    """A video classifier: frames [B, 3, T, H, W] and flow [B, 2 L, T, H, W], L fields a frame -> logits.

    Both towers see every frame. Their maps are added, or laid on each other, and go through a 3x3x3 convolution to as
    many channels as one tower has, ReLU and max pooling of 3x3x3 with stride 2 (sections 3.3 and 3.4); the pool starts
    half a place early, so that clips of one frame pass. With `keep_flow` the flow's own network goes on beside the
    fusion and the logits of both are averaged (section 4.3). What follows is ours: the mean over places and time in
    place of VGG's wide layers, a linear layer on it, and one loss, on the averaged logits.
    """

    def __init__(
        self,
        rgb: VGGTower | ResNetTower,
        flow: VGGTower | ResNetTower,
        flow_channels: int,
        *,
        num_classes: int,
        fuse: Literal["concat", "sum"],
        keep_flow: bool,
        dropout: float,
    ) -> None:
        super().__init__(flow_channels)
        self.rgb, self.flow, self.fuse = rgb, flow, fuse
        channels = rgb.num_features
        self.fusion = nn.Conv3d(channels * (2 if fuse == "concat" else 1), channels, 3, padding=1)
        self.pool = MaxPool((3, 3, 3), (2, 2, 2), (1, 1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        self.flow_fc = nn.Linear(channels, num_classes) if keep_flow else None

    def features(self, x: Tensor, flow: Tensor | None = None) -> Tensor:
        """Map frames and flow, see `both`, -> [B, D], those of the flow's own network behind the fused ones."""
        x, flow = self.both(x, flow)
        frames = x.shape[2]
        maps = [
            tower(clip.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, frames)).transpose(1, 2)
            for tower, clip in ((self.rgb, x), (self.flow, flow))
        ]
        fused = functional.relu(self.fusion(torch.cat(maps, 1) if self.fuse == "concat" else maps[0] + maps[1]))
        parts = [self.pool(fused).mean((2, 3, 4)), *([maps[1].mean((2, 3, 4))] if self.flow_fc else [])]
        return torch.cat(parts, 1)

    def forward(self, x: Tensor, flow: Tensor | None = None) -> Tensor:
        """Map frames and flow, see `both`, -> logits [B, num_classes]."""
        fused, *own = self.dropout(self.features(x, flow)).split(self.fc.in_features, 1)
        if self.flow_fc is None:
            return self.fc(fused)
        return (self.fc(fused) + self.flow_fc(own[0])) / 2
