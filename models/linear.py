"""A linear layer that is quick on every processor."""

from torch import Tensor, nn
from torch.nn import functional

from models.traced import is_traced


class Linear(nn.Linear):
    """`nn.Linear` for [B, L, C] and [B, H, W, C], with its parameters, results and initial values.

    On CPU it is computed as a 1x1 convolution of channels-last maps, which these shapes are views of: torch gives
    float32 matrix products to MKL and convolutions to oneDNN, which was measured twice as fast on AMD (Zen 5: 200
    against 100 GFLOP/s a core). With a single thread torch does so for B >= 16 only; below, nothing is lost. A graph
    that is exported has the matrix product.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ..., C] -> [B, ..., out_features]."""
        if x.device.type != "cpu" or not 3 <= x.dim() <= 4 or is_traced():
            return super().forward(x)
        maps = x.movedim(-1, 1) if x.dim() == 4 else x.unsqueeze(1).movedim(-1, 1)
        out = functional.conv2d(maps, self.weight[:, :, None, None], self.bias).movedim(1, -1)
        return out if x.dim() == 4 else out.squeeze(1)
