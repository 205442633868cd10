"""SSD300 and SSD512 on VGG-16 (Liu et al. 2016, section 3 and figure 2), whose linear layers are convolutions."""

from typing import Literal

import torch
from torch import Tensor, nn

from models.ops.priors import Clip, Priors
from models.ssd import SSD, draw
from models.vgg import STAGES, convolutions

Published = Literal["voc", "coco", "torchvision"]
# Behind fc7, two convolutions a map, 1x1 and a larger one: their channels in widths; kernel, stride and padding of the
# latter.
EXTRAS: dict[int, tuple[tuple[int, int, tuple[int, int, int]], ...]] = {
    300: ((4, 8, (3, 2, 1)), (2, 4, (3, 2, 1)), *[(2, 4, (3, 1, 0))] * 2),
    512: ((4, 8, (3, 2, 1)), *[(2, 4, (3, 2, 1))] * 3, (2, 4, (4, 1, 1))),
}
RATIOS = {
    300: ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
    512: ((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)),
}
STEPS = {300: (8, 16, 32, 64, None, None), 512: (8, 16, 32, 64, 128, 256, None)}
"""Of maps that do not pad, places share the picture out evenly: 100 and 300 px apart in 300 px, 512 px in 512 px."""
SCALES = {
    (300, "voc"): (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05),
    (300, "coco"): (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05),
    (512, "voc"): (0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05),
    (512, "coco"): (0.04, 0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 1.06),
}
"""Of the authors' releases."""


def published_priors(size_px: Literal[300, 512], published: Published) -> Priors:
    """Make the priors of a release: torchvision's are those of COCO, whose centres stay where they are."""
    clip: Clip = "sizes" if published == "torchvision" else "centres and sizes"
    scales = SCALES[size_px, "coco" if published == "torchvision" else published]
    return Priors(scales, RATIOS[size_px], STEPS[size_px], clip)


class L2Norm(nn.Module):
    """Divide each place by its length and multiply by a learned scale a channel, [B, C, H, W] -> the same.

    It begins at 20 (section 3.1; Liu et al. 2015, "ParseNet", section 3.3). Lengths are computed in float32.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 20.0))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return nn.functional.normalize(x.float(), dim=1) * self.weight[:, None, None]


class SSDVGG(SSD):
    """SSD on VGG-16, made for `size_px` and taking sides of 257 px or more; see `SSD`.

    Convolutions have the numbers of torchvision's `features`. `batch_norm` puts one behind every convolution but those
    of the heads; `norm` is then as published, too.
    """

    def __init__(
        self,
        size_px: Literal[300, 512],
        *,
        num_classes: int,
        width: int,
        in_channels: int,
        batch_norm: bool,
        priors: Published,
    ) -> None:
        super().__init__(published_priors(size_px, priors), num_classes)
        self.extra_sizes = [size for _, _, size in EXTRAS[size_px]]
        self.features = convolutions(STAGES, in_channels=in_channels, width=width, batch_norm=batch_norm)
        self.features[-1] = nn.MaxPool2d(3, 1, 1)
        self.norm = L2Norm(8 * width)
        far = _convolution(8 * width, 16 * width, (3, 1, 6), batch_norm, dilation=6)
        self.fc = nn.Sequential(*far, *_convolution(16 * width, 16 * width, (1, 1, 0), batch_norm))
        channels = [8 * width, 16 * width]
        self.extras = nn.ModuleList()
        for narrow, wide, size in EXTRAS[size_px]:
            first = _convolution(channels[-1], narrow * width, (1, 1, 0), batch_norm)
            second = _convolution(narrow * width, wide * width, size, batch_norm)
            self.extras.append(nn.Sequential(*first, *second))
            channels.append(wide * width)
        shaped = list(zip(channels, self.priors.counts, strict=True))
        self.boxes = nn.ModuleList([nn.Conv2d(c, 4 * count, 3, padding=1) for c, count in shaped])
        self.scores = nn.ModuleList([nn.Conv2d(c, (num_classes + 1) * count, 3, padding=1) for c, count in shaped])
        draw([self.fc, self.extras, self.boxes, self.scores])

    def maps(self, x: Tensor) -> list[Tensor]:
        """See `SSD.maps`: conv4_3, normed, fc7, and the last of each two further convolutions."""
        maps, pools = [], 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                pools += 1
                if pools == 4:
                    maps.append(self.norm(x))
            x = layer(x)
        x = self.fc(x)
        maps.append(x)
        for extra in self.extras:
            x = extra(x)
            maps.append(x)
        return maps

    def sides(self, px: int) -> list[int]:
        """See `SSD.sides`: pools round up."""
        fc7 = -(-px // 16)
        sides = [-(-px // 8), fc7]
        for kernel, stride, padding in self.extra_sizes:
            sides.append((sides[-1] + 2 * padding - kernel) // stride + 1)
        return sides


def _convolution(
    in_channels: int, channels: int, size: tuple[int, int, int], batch_norm: bool, dilation: int = 1
) -> list[nn.Module]:
    """A convolution whose kernel, stride and padding are `size`, and what is behind it."""
    conv = nn.Conv2d(in_channels, channels, *size, dilation)
    return [conv, *([nn.BatchNorm2d(channels)] if batch_norm else []), nn.ReLU(True)]
