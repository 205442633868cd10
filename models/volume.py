"""What networks of 3D convolutions share: the check of their input, and pools that take clips of every size.

Published networks are made for one number of frames, and shrink shorter clips to nothing. Here a pool is never larger
than its map, so that an axis of one place keeps it; maps of the published sizes are pooled as published.
"""

from torch import Tensor, nn
from torch.nn import functional

from pipeline.base.errors import ZoetropeError

Triple = tuple[int, int, int]
"""Of time, height and width."""


def check_clip(model: nn.Module, x: Tensor, channels: int, frames: int | None = None) -> None:
    """Raise ZoetropeError for what is no clip float [B, channels, T, H, W], of `frames` where they are given."""
    if x.dim() != 5 or x.shape[1] != channels or (frames and x.shape[2] != frames):
        raise ZoetropeError(
            f"{type(model).__name__} takes clips [B, {channels}, {frames or 'T'}, H, W], got the shape {tuple(x.shape)}"
        )


class MaxPool(nn.Module):
    """Max pooling whose kernel is at most as large as its map: [B, C, T, H, W] -> one place for each stride or more."""

    def __init__(self, kernel: Triple, stride: Triple, padding: Triple = (0, 0, 0)) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] -> [B, C, T', H', W'], each about the axis over its stride, and at least 1."""
        axes = zip(self.kernel, x.shape[2:], self.padding, strict=True)
        return functional.max_pool3d(x, [min(k, n + 2 * pad) for k, n, pad in axes], self.stride, self.padding)


def window_means(x: Tensor, window: Triple) -> Tensor:
    """Average over windows of stride 1, at most as large as the map: [B, C, T, H, W] -> [B, C, T', H', W'].

    A network whose last pool is such a window answers larger clips with the mean of what it says of each.
    """
    return functional.avg_pool3d(x, [min(k, n) for k, n in zip(window, x.shape[2:], strict=True)], stride=1)
