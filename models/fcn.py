"""FCN-32s, 16s and 8s (Shelhamer, Long & Darrell 2017, "Fully convolutional networks for semantic segmentation").

The trunk is VGG-16, whose linear layers fc6 and fc7 are convolutions here: `classifier`, as in torchvision, whose
weights of a classification fit.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vgg import VGG16Trunk

PADDING_PX = 100
"""Around the picture, so that the 7x7 of fc6 finds a place in a small one; the offsets below take it off again."""
# Scores are enlarged to each of these pools, whose own are added: its place among the pools, and where its map is cut.
SKIPS = (("pool4", 3, 5), ("pool3", 2, 9))
# Where the last enlarged map is cut, by its stride.
OFFSETS_PX = {32: 19, 16: 27, 8: 31}


def bilinear_kernel(size: int) -> Tensor:
    """Make the kernel [size, size] with which a transposed convolution of stride (size + 1) // 2 interpolates.

    (1 - |i - c| / f) * (1 - |j - c| / f), f = (size + 1) // 2, c its centre; size 4 has 1/4, 3/4, 3/4, 1/4 a side.
    """
    factor = (size + 1) // 2
    side = 1 - (torch.arange(size) - (size - 1) / 2).abs() / factor
    return side[:, None] * side


class Deconvolution(nn.Module):
    """A transposed convolution that begins as bilinear interpolation, [B, K, H, W] -> [B, K, s(H + 1), s(W + 1)].

    With an odd `kernel`, 2 s - 1, it is a row and a column less. It is none of torch's, which an option `init` draws
    anew: where it is not `learned`, it would stay at random.
    """

    def __init__(self, channels: int, stride: int, learned: bool, kernel: int | None = None) -> None:
        super().__init__()
        self.stride = stride
        each = torch.eye(channels)[:, :, None, None] * bilinear_kernel(kernel or 2 * stride)
        self.weight = nn.Parameter(each, requires_grad=learned)

    def forward(self, x: Tensor) -> Tensor:
        """[B, K, H, W] -> [B, K, s(H + 1), s(W + 1)]."""
        return functional.conv_transpose2d(x, self.weight, stride=self.stride)


class Interpolation(nn.Module):
    """The same without weights, [B, K, H, W] -> [B, K, s(H + 1), s(W + 1)]; borders repeat, where those fade to 0."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, K, H, W] -> [B, K, s(H + 1), s(W + 1)]."""
        x = functional.interpolate(x, scale_factor=self.stride, mode="bilinear", align_corners=False)
        return functional.pad(x, (self.stride // 2,) * 4, mode="replicate")


class FCN(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    `stride` is that of the finest scores: 32, 16 with those of the fourth pool, 8 with those of the third too. Scores
    start at zero (section 4.1). Kernels that enlarge are fixed in the released networks; `learn_upsample` trains them.
    """

    margin_px = 0

    def __init__(
        self,
        *,
        stride: Literal[8, 16, 32],
        num_classes: int,
        width: int,
        in_channels: int,
        dropout: float,
        upsample: Literal["deconv", "bilinear"],
        learn_upsample: bool,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.skips = SKIPS[: {32: 0, 16: 1, 8: 2}[stride]]
        self.features = VGG16Trunk(in_channels=in_channels, width=width, padding=PADDING_PX)
        fc6, fc7 = nn.Conv2d(self.features.channels[-1], 64 * width, 7), nn.Conv2d(64 * width, 64 * width, 1)
        self.classifier = nn.Sequential(
            *(fc6, nn.ReLU(True), nn.Dropout(dropout)), *(fc7, nn.ReLU(True), nn.Dropout(dropout))
        )
        scored = {"fc7": 64 * width, **{name: self.features.channels[place] for name, place, _ in self.skips}}
        self.score = nn.ModuleDict({name: nn.Conv2d(channels, num_classes, 1) for name, channels in scored.items()})
        enlarged = {**{name: 2 for name, *_ in self.skips}, f"x{stride}": stride}
        self.upscore = nn.ModuleDict(
            {
                name: Deconvolution(num_classes, times, learn_upsample)
                if upsample == "deconv"
                else Interpolation(times)
                for name, times in enlarged.items()
            }
        )
        for layer in (fc6, fc7):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is one
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]."""
        maps = self.features.maps(x)
        scores = self.score["fc7"](self.classifier(maps[-1]))
        for name, place, offset in self.skips:
            scores = self.upscore[name](scores)
            scores = scores + cut(self.score[name](maps[place]), offset, scores)
        return cut(self.upscore[f"x{self.stride}"](scores), OFFSETS_PX[self.stride], x)


def cut(x: Tensor, offset: int, like: Tensor) -> Tensor:
    """Cut out the part of a map that begins at `offset` on both axes and has the height and width of `like`."""
    return x[:, :, offset : offset + like.shape[2], offset : offset + like.shape[3]]
