"""A pathway of PySlowFast: ResNet's bottlenecks, the first convolution of some with three places in time.

SlowFast has two of them, I3D on a ResNet one. Names of parameters are PySlowFast's.
"""

from itertools import cycle, islice

from torch import Tensor, nn
from torch.nn import functional

# Of ResNet's four stages, by depth.
BLOCKS: dict[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class Stem(nn.Module):
    """First convolution and pool: [B, in_channels, T, H, W] -> [B, channels, T, H/4, W/4]; `kernel` is along time."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, channels, (kernel, 7, 7), (1, 2, 2), (kernel // 2, 3, 3), bias=False)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T, H, W] -> [B, channels, T, H/4, W/4]."""
        x = functional.relu(self.bn(self.conv(x)), inplace=True)
        return functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))


class Branch(nn.Module):
    """Three convolutions, of `kernel` places in time, of 3x3 in space, of one: [B, C, ..] -> [B, 4 * inner, ..]."""

    def __init__(self, in_channels: int, inner: int, stride: int, kernel: int) -> None:
        super().__init__()
        self.a = nn.Conv3d(in_channels, inner, (kernel, 1, 1), padding=(kernel // 2, 0, 0), bias=False)
        self.a_bn = nn.BatchNorm3d(inner)
        self.b = nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.b_bn = nn.BatchNorm3d(inner)
        self.c = nn.Conv3d(inner, 4 * inner, 1, bias=False)
        self.c_bn = nn.BatchNorm3d(4 * inner)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T, H, W] -> [B, 4 * inner, T, H/stride, W/stride]."""
        x = functional.relu(self.a_bn(self.a(x)), inplace=True)
        x = functional.relu(self.b_bn(self.b(x)), inplace=True)
        return self.c_bn(self.c(x))


class Block(nn.Module):
    """A residual block: [B, in_channels, T, H, W] -> [B, 4 * inner, T, H/stride, W/stride]."""

    def __init__(self, in_channels: int, inner: int, stride: int, kernel: int) -> None:
        super().__init__()
        self.branch1, self.branch1_bn = None, None
        if stride != 1 or in_channels != 4 * inner:
            self.branch1 = nn.Conv3d(in_channels, 4 * inner, 1, (1, stride, stride), bias=False)
            self.branch1_bn = nn.BatchNorm3d(4 * inner)
        self.branch2 = Branch(in_channels, inner, stride, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T, H, W] -> [B, 4 * inner, T, H/stride, W/stride]."""
        shortcut = x if self.branch1 is None or self.branch1_bn is None else self.branch1_bn(self.branch1(x))
        return functional.relu(self.branch2(x).add_(shortcut), inplace=True)


class NonLocal(nn.Module):
    """The non-local block of the authors (Wang et al. 2018, section 3.3), which starts as the identity.

    Embedded Gaussian: softmax attention from every place of the clip [B, C, T, H, W] to every place of a copy that is
    pooled in space, logits divided by the root of the channels. That of TSM's release does not divide them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.conv_theta = nn.Conv3d(channels, inner, 1)
        self.conv_phi = nn.Conv3d(channels, inner, 1)
        self.conv_g = nn.Conv3d(channels, inner, 1)
        self.conv_out = nn.Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] -> [B, C, T, H, W]."""
        pooled = functional.max_pool3d(x, (1, min(2, x.shape[3]), min(2, x.shape[4])), (1, 2, 2))
        # One head, tokens [B, 1, T*H*W, C/2].
        each = ((self.conv_theta, x), (self.conv_phi, pooled), (self.conv_g, pooled))
        query, key, value = (convolve(of).flatten(2).mT.unsqueeze(1) for convolve, of in each)
        mixed = functional.scaled_dot_product_attention(query, key, value).squeeze(1).mT
        return x + self.bn(self.conv_out(mixed.unflatten(2, x.shape[2:])))


class Stage(nn.Module):
    """A stage of one or two pathways, whose blocks are `pathway<i>_res<j>`, non-local ones `pathway<i>_nonlocal<j>`."""

    def add_pathway(
        self,
        pathway: int,
        in_channels: int,
        inner: int,
        blocks: int,
        stride: int,
        kernels: tuple[int, ...],
        non_local: tuple[int, ...] = (),
    ) -> None:
        """Add blocks, of which the first strides; their kernels along time take turns."""
        for j, kernel in enumerate(islice(cycle(kernels), blocks)):
            block = Block(4 * inner if j else in_channels, inner, 1 if j else stride, kernel)
            self.add_module(f"pathway{pathway}_res{j}", block)
            if j in non_local:
                self.add_module(f"pathway{pathway}_nonlocal{j}", NonLocal(4 * inner))

    def run(self, pathway: int, x: Tensor) -> Tensor:
        """Map [B, in_channels, T, H, W] -> [B, 4 * inner, T, H/stride, W/stride], through one pathway."""
        for name, block in self.named_children():
            if name.startswith(f"pathway{pathway}_"):
                x = block(x)
        return x


def initialise(model: nn.Module) -> None:
    """Initialise as PySlowFast: Kaiming-normal convolutions, and the last norm of every branch at zero (Goyal et al.
    2017, section 5.1), so that blocks begin as the identity; non-local ones, too.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Branch):
            nn.init.zeros_(module.c_bn.weight)
        elif isinstance(module, NonLocal):
            nn.init.zeros_(module.bn.weight)
