"""DnCNN (Zhang et al. 2017, "Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising")."""

from torch import Tensor, nn

from models.brightness import restored
from models.edsr import conv

EPS = 1e-4
"""Of the norms, as the authors' release has it."""


class DnCNN(nn.Module):
    """Float [B, 3, H, W] -> the same without noise: x - n(x), where n finds the noise (section III-A).

    `depth` convolutions 3x3, the inner ones with batch norms. With 1 channel it restores the brightness alone, of RGB
    in 0..1. The release's norms have a momentum of 0.9, which torch takes for that of the new batch; here it is 0.1.
    """

    scale = 1

    def __init__(self, *, channels: int, depth: int, width: int, batch_norm: bool) -> None:
        super().__init__()
        self.channels, self.reach_px = channels, depth
        layers: list[nn.Module] = [conv(channels, width), nn.ReLU(True)]
        for _ in range(depth - 2):
            layers += [conv(width, width), *([nn.BatchNorm2d(width, eps=EPS)] if batch_norm else []), nn.ReLU(True)]
        self.model = nn.Sequential(*layers, conv(width, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, 3, H, W] -> the same."""
        return restored(lambda seen: seen - self.model(seen), x, self.channels)
