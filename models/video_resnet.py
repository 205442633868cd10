"""ResNet-18 of 3D convolutions: R3D, MC3 and R(2+1)D (Tran et al. 2018, "A closer look at spatiotemporal
convolutions for action recognition"), with torchvision's names of parameters.
"""

from typing import Literal

from torch import Tensor, nn

from models.volume import check_clip

Convolution = Literal["3d", "2d", "2plus1d"]
# Of the four stages (sections 3.1 to 3.4): MC3 has three axes in the first alone, and time never shrinks behind it.
STAGES: dict[str, tuple[Convolution, Convolution, Convolution, Convolution]] = {
    "r3d_18": ("3d", "3d", "3d", "3d"),
    "mc3_18": ("3d", "2d", "2d", "2d"),
    "r2plus1d_18": ("2plus1d", "2plus1d", "2plus1d", "2plus1d"),
}


class VideoBlock(nn.Module):
    """Two convolutions: [B, in_channels, T, H, W] -> [B, channels, T/stride, H/stride, W/stride]; "2d" keeps T."""

    def __init__(self, in_channels: int, channels: int, stride: int, convolution: Convolution) -> None:
        super().__init__()
        # As many as give two convolutions the parameters of one over three axes (section 3.5); the released network
        # counts them once a block.
        between = in_channels * channels * 27 // (in_channels * 9 + channels * 3)
        self.conv1 = nn.Sequential(
            _convolution(convolution, in_channels, channels, stride, between), nn.BatchNorm3d(channels), nn.ReLU(True)
        )
        self.conv2 = nn.Sequential(_convolution(convolution, channels, channels, 1, between), nn.BatchNorm3d(channels))
        self.relu = nn.ReLU(True)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            strides = (1 if convolution == "2d" else stride, stride, stride)
            projection = nn.Conv3d(in_channels, channels, 1, strides, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm3d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T, H, W] -> [B, channels, T/stride, H/stride, W/stride]; "2d" keeps T."""
        y = self.conv2(self.conv1(x))
        return self.relu(y.add_(x if self.downsample is None else self.downsample(x)))


class VideoResNet(nn.Module):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free."""

    def __init__(self, kind: str, *, num_classes: int, width: int, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = _stem(STAGES[kind][0], in_channels, width)
        before = width
        for i, convolution in enumerate(STAGES[kind]):
            channels = width * 2**i
            first = VideoBlock(before, channels, 1 if i == 0 else 2, convolution)
            self.add_module(f"layer{i + 1}", nn.Sequential(first, VideoBlock(channels, channels, 1, convolution)))
            before = channels
        self.fc = nn.Linear(before, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> [B, 8 * width], averaged over the last map."""
        check_clip(self, x, self.in_channels)
        x = self.stem(x)
        for i in range(1, 5):
            x = self.get_submodule(f"layer{i}")(x)
        return x.mean((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes]."""
        return self.fc(self.features(x))


def _stem(convolution: Convolution, in_channels: int, width: int) -> nn.Sequential:
    if convolution != "2plus1d":
        conv = nn.Conv3d(in_channels, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        return nn.Sequential(conv, nn.BatchNorm3d(width), nn.ReLU(True))
    between = max(1, 45 * width // 64)  # not by the formula, which would be 83
    return nn.Sequential(
        *(nn.Conv3d(in_channels, between, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False), nn.BatchNorm3d(between)),
        nn.ReLU(True),
        *(nn.Conv3d(between, width, (3, 1, 1), padding=(1, 0, 0), bias=False), nn.BatchNorm3d(width), nn.ReLU(True)),
    )


def _convolution(convolution: Convolution, in_channels: int, channels: int, stride: int, between: int) -> nn.Module:
    if convolution == "3d":
        return nn.Conv3d(in_channels, channels, 3, stride, 1, bias=False)
    if convolution == "2d":
        return nn.Conv3d(in_channels, channels, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
    return nn.Sequential(
        nn.Conv3d(in_channels, between, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        *(nn.BatchNorm3d(between), nn.ReLU(True)),
        nn.Conv3d(between, channels, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )
