"""GCN (Peng et al. 2017, "Large kernel matters: improve semantic segmentation by global convolutional network").

`variant: yassouali` is pytorch-segmentation's: kernels of 11, a 1x1 convolution at the end, batch norms that are there
and not used, and logits that are refined at a quarter of the picture's size where the paper's have half of it.
"""

from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from models.resnet import Backbone


class GlobalConv(nn.Module):
    """k x 1 then 1 x k, and 1 x k then k x 1, added up (figure 2, B): [B, in_channels, H, W] -> [B, K, H, W]."""

    def __init__(self, in_channels: int, num_classes: int, k: int) -> None:
        super().__init__()
        high: dict[str, Any] = {"kernel_size": (k, 1), "padding": (k // 2, 0)}
        wide: dict[str, Any] = {"kernel_size": (1, k), "padding": (0, k // 2)}
        self.conv11 = nn.Conv2d(in_channels, num_classes, **high)
        self.conv12 = nn.Conv2d(num_classes, num_classes, **wide)
        self.conv21 = nn.Conv2d(in_channels, num_classes, **wide)
        self.conv22 = nn.Conv2d(num_classes, num_classes, **high)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, K, H, W]."""
        return self.conv12(self.conv11(x)) + self.conv22(self.conv21(x))


class BoundaryRefine(nn.Module):
    """Two 3x3 convolutions beside a shortcut (figure 2, C): logits [B, K, H, W] -> [B, K, H, W]."""

    def __init__(self, num_classes: int, unused_norms: bool) -> None:
        super().__init__()
        if unused_norms:  # no gradient is due for them
            self.bn1 = nn.BatchNorm2d(num_classes).requires_grad_(False)
        self.conv1 = nn.Conv2d(num_classes, num_classes, 3, padding=1)
        if unused_norms:
            self.bn2 = nn.BatchNorm2d(num_classes).requires_grad_(False)
        self.conv2 = nn.Conv2d(num_classes, num_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, K, H, W] -> [B, K, H, W]."""
        return x + self.conv2(self.conv1(x).relu())


class Decoder(nn.Module):
    """The stages' maps, finest first -> logits [B, K, H, W] of `size`, by way of those of `half`."""

    def __init__(self, channels: list[int], num_classes: int, k: int, yassouali: bool) -> None:
        super().__init__()
        for i, seen in enumerate(channels, 1):
            self.add_module(f"gcn{i}", GlobalConv(seen, num_classes, k))
            self.add_module(f"br{i}", BoundaryRefine(num_classes, yassouali))
        for i in range(5, 10):
            self.add_module(f"br{i}", BoundaryRefine(num_classes, yassouali))
        self.final_conv = nn.Conv2d(num_classes, num_classes, 1) if yassouali else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # there is one

    def forward(self, maps: list[Tensor], half: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
        """[B, channels[i], ...] -> [B, K, *size]."""
        part = self.get_submodule
        logits = [part(f"br{i}")(part(f"gcn{i}")(x)) for i, x in enumerate(maps, 1)]
        y = logits.pop()
        for number, finer in zip((5, 6, 7), reversed(logits), strict=True):
            y = part(f"br{number}")(_resized(y, tuple(finer.shape[2:])) + finer)
        y = part("br8")(_resized(y, half))
        return self.final_conv(part("br9")(_resized(y, size)))


class GCN(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size."""

    margin_px = 0

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        variant: Literal["paper", "yassouali"],
        kernel: int | None,
        **backbone: Any,
    ) -> None:
        super().__init__()
        self.yassouali = variant == "yassouali"
        self.backbone = Backbone(depth, **backbone)
        k = kernel or (11 if self.yassouali else 15)
        self.classifier = Decoder(self.backbone.channels, num_classes, k, self.yassouali)

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]."""
        maps = self.backbone.maps(x)
        height, width = x.shape[2:]
        half = tuple(maps[0].shape[2:]) if self.yassouali else ((height + 1) // 2, (width + 1) // 2)
        return self.classifier(maps, half, (height, width))


def _resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Enlarge logits, so that their corners meet those of the larger ones, as the authors do."""
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
