"""I3D on a ResNet, with non-local blocks if asked for (Wang et al. 2018, "Non-local neural networks", section 4).

Names of parameters are PySlowFast's. Its first pool is padded, to the 56 x 56 places of the paper's table 1; that of
the authors' Caffe2 release is not. Kernels of a ResNet for images are inflated, see `models.weights`.
"""

from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from models.pathway import BLOCKS, Stage, Stem, initialise
from models.volume import check_clip

# Of the four stages: kernels along time, which take turns.
KERNELS: tuple[tuple[int, ...], ...] = ((3,), (3, 1), (3, 1), (1, 3))
# Behind which blocks non-local ones stand, by depth (five, as the paper's best).
NON_LOCAL: dict[int, tuple[tuple[int, ...], ...]] = {
    50: ((), (1, 3), (1, 3, 5), ()),
    101: ((), (1, 3), (6, 13, 20), ()),
}


class I3DResNet(nn.Module):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free."""

    def __init__(
        self,
        depth: Literal[50, 101],
        *,
        num_classes: int,
        width: int,
        in_channels: int,
        dropout: float,
        non_local: bool,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.s1 = nn.ModuleDict({"pathway0_stem": Stem(in_channels, width, 5)})
        into = width
        for i, blocks in enumerate(BLOCKS[depth]):
            stage, inner = Stage(), width * 2**i
            places = NON_LOCAL[depth][i] if non_local else ()
            stage.add_pathway(0, into, inner, blocks, 1 if i == 0 else 2, KERNELS[i], places)
            self.add_module(f"s{i + 2}", stage)
            into = 4 * inner
        self.dropout = nn.Dropout(dropout)
        self.head = nn.ModuleDict({"projection": nn.Linear(into, num_classes)})
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> [B, 32 * width], averaged over the last map."""
        check_clip(self, x, self.in_channels)
        x = self.s1["pathway0_stem"](x)
        for i in range(2, 6):
            stage: Any = self.get_submodule(f"s{i}")
            x = stage.run(0, x)
            if i == 2 and x.shape[2] > 1:
                x = functional.max_pool3d(x, (2, 1, 1))
        return x.mean((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes]."""
        return self.head["projection"](self.dropout(self.features(x)))
