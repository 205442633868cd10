"""C3D (Tran et al. 2015, "Learning spatiotemporal features with 3D convolutional networks", section 3.2).

Names of parameters are those of c3d-pytorch. Its linear layers are of a last map of 1 x 4 x 4 places, that of clips of
16 x 112 x 112; other maps are averaged to that size, as torchvision's VGG does. Unlike c3d-pytorch it answers logits.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.volume import MaxPool, Triple, check_clip

# Convolutions of 3x3x3 places and their channels in widths, behind the last of each stage a pool.
STAGES: tuple[dict[str, int], ...] = (
    {"conv1": 1},
    {"conv2": 2},
    {"conv3a": 4, "conv3b": 4},
    {"conv4a": 8, "conv4b": 8},
    {"conv5a": 8, "conv5b": 8},
)


class C3D(nn.Module):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free."""

    def __init__(self, *, num_classes: int, width: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.in_channels = in_channels
        before = in_channels
        for stage in STAGES:
            for name, widths in stage.items():
                self.add_module(name, nn.Conv3d(before, width * widths, 3, padding=1))
                before = width * widths
        self.pools = [MaxPool((1, 2, 2), (1, 2, 2)), *(MaxPool((2, 2, 2), (2, 2, 2)) for _ in range(3))]
        self.pools.append(MaxPool((2, 2, 2), (2, 2, 2), (0, 1, 1)))
        self.dropout = nn.Dropout(dropout)
        self.fc6 = nn.Linear(16 * before, 64 * width)
        self.fc7 = nn.Linear(64 * width, 64 * width)
        self.fc8 = nn.Linear(64 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # there is one
        nn.init.normal_(self.fc8.weight, std=0.01)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> [B, 64 * width], what the last layer takes."""
        check_clip(self, x, self.in_channels)
        for stage, pool in zip(STAGES, self.pools, strict=True):
            for name in stage:
                x = functional.relu(self.get_submodule(name)(x), inplace=True)
            x = pool(x)
        x = averaged(x, (1, 4, 4))
        for layer in (self.fc6, self.fc7):
            x = self.dropout(functional.relu(layer(x.flatten(1))))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes]."""
        return self.fc8(self.features(x))


def averaged(x: Tensor, size: Triple) -> Tensor:
    """Average [B, C, T, H, W] to [B, C, *size], as torch's adaptive pooling does, which ONNX lacks."""
    for axis, count in enumerate(size, start=2):
        length = x.shape[axis]
        if length != count:
            cuts = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
            x = torch.stack([x.narrow(axis, start, end - start).mean(axis) for start, end in cuts], axis)
    return x
