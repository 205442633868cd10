"""Linear layers that are quick on every processor."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.traced import is_traced


class Linear(nn.Linear):
    """`nn.Linear` for [B, L, C] and [B, H, W, C], with its parameters, results and initial values.

    On CPU it is computed as a 1x1 convolution of channels-last maps, which these shapes are views of: torch gives
    float32 matrix products to MKL and convolutions to oneDNN, which was measured twice as fast on AMD (Zen 5: 240
    against 110 GFLOP/s a core). With a single thread torch gives 1x1 convolutions of less than 16 samples to MKL, too,
    unless they are dilated, which to a kernel of one place means nothing. In bfloat16 oneDNN has both, and in training
    the matrix product is the quicker one. A graph that is exported has the matrix product.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ..., C] -> [B, ..., out_features]."""
        if x.device.type != "cpu" or not 3 <= x.dim() <= 4 or is_traced() or not x.numel():
            return super().forward(x)
        mixed = torch.is_autocast_enabled("cpu")
        if mixed and torch.is_grad_enabled():
            return super().forward(x)
        maps = x if x.dim() == 4 else x[None]
        kernel = self.weight[:, :, None, None]
        out = functional.conv2d(maps.movedim(-1, 1), kernel, self.bias, dilation=1 if mixed else 2)
        return out.movedim(1, -1).reshape(*x.shape[:-1], self.out_features)


class LinearGELU(Linear):
    """The same with a GELU behind it, which some forms compute in the same pass (`models.inference`)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ..., C] -> [B, ..., out_features]."""
        return functional.gelu(super().forward(x))
