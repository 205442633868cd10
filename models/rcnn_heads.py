"""What R-CNNs say of anchors, of boxes, and of the masks in these: the parts that learn, beside a backbone and pyramid.

`norm` is a batch norm behind each convolution, which then has no bias, as in torchvision's second versions.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from models.ops.anchors import RATIOS

SIDE, MASK_SIDE = 7, 14
"""Places of what is pooled from a box, for its class and place, and for its mask, which has twice as many."""
CONVOLUTIONS = 4
"""In front of a mask, and of the linear layer of a head of kind `conv`."""

HeadKind = Literal["linear", "conv"]


class NormedConv(nn.Conv2d):
    """A convolution without a bias and a batch norm: [B, in_channels, H, W] -> [B, channels, H, W]."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, channels, H, W]."""
        return self.norm(super().forward(x))


def _convolutions(channels: int, norm: bool) -> nn.ModuleList:
    """Make `CONVOLUTIONS` of 3x3, drawn as He et al. do for what a ReLU follows."""
    plain = [
        NormedConv(channels, channels, 3) if norm else nn.Conv2d(channels, channels, 3, padding=1)
        for _ in range(CONVOLUTIONS)
    ]
    for layer in plain:
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return nn.ModuleList(plain)


class RegionProposals(nn.Module):
    """Say of each anchor whether it is an object's, and how far off it is (Ren et al. 2015, section 3.1).

    convs: 3x3 convolutions, 1 as published, or 2
    """

    def __init__(self, channels: int, convs: Literal[1, 2] = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1) if convs == 2 else None
        self.objectness = nn.Conv2d(channels, len(RATIOS), 1)
        self.deltas = nn.Conv2d(channels, 4 * len(RATIOS), 1)
        for layer in self.children():
            assert isinstance(layer, nn.Conv2d)
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Maps [B, channels, h, w] -> of each logits [B, 3 h w] and codes [B, 3 h w, 4], place after place."""
        found = []
        for one in maps:
            x = self.conv(one).relu()
            x = x if self.second is None else self.second(x).relu()
            deltas = self.deltas(x).permute(0, 2, 3, 1).reshape(one.shape[0], -1, 4)
            found.append((self.objectness(x).permute(0, 2, 3, 1).flatten(1), deltas))
        return found


class Regions(nn.Module):
    """Two linear layers on what is pooled, or convolutions and one, and what tells classes and boxes.

    boxes: how many boxes it tells: one of each class and of the background as published, of each class alone, or 1
    """

    def __init__(self, channels: int, hidden: int, num_classes: int, boxes: int, head: HeadKind = "linear") -> None:
        super().__init__()
        self.convs = _convolutions(channels, norm=True) if head == "conv" else None
        self.fc6 = nn.Linear(channels * SIDE**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden) if head == "linear" else None
        self.scores = nn.Linear(hidden, num_classes + 1)
        self.codes = nn.Linear(hidden, 4 * boxes)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Float [n, R, channels, 7, 7] -> logits [n, R, num_classes + 1] and codes [n, R, 4 boxes]."""
        x = pooled.to(self.fc6.weight.dtype)
        if self.convs is not None:
            x = x.flatten(0, 1)
            for conv in self.convs:
                x = conv(x).relu()
            x = x.unflatten(0, pooled.shape[:2])
        x = self.fc6(x.flatten(2)).relu()
        x = x if self.fc7 is None else self.fc7(x).relu()
        return self.scores(x), self.codes(x)


class Masks(nn.Module):
    """Four convolutions on what is pooled, one that doubles its sides, and a mask of each class (He et al. 2017,
    "Mask R-CNN", section 3): `outputs` of them.
    """

    def __init__(self, channels: int, outputs: int, norm: bool = False) -> None:
        super().__init__()
        self.convs = _convolutions(channels, norm)
        self.up = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.logits = nn.Conv2d(channels, outputs, 1)
        for layer in (self.up, self.logits):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, pooled: Tensor) -> Tensor:
        """Float [n, R, channels, 14, 14] -> logits [n, R, outputs, 28, 28]."""
        x = pooled.to(self.up.weight.dtype).flatten(0, 1)
        for conv in self.convs:
            x = conv(x).relu()
        return self.logits(self.up(x).relu()).unflatten(0, pooled.shape[:2])
