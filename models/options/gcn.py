"""Options of GCN."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.resnet import TrunkOptions

if TYPE_CHECKING:
    from torch import nn


class GCNOptions(TrunkOptions):
    """ResNet, and on each stage a convolution of a large kernel in two parts, whose boundaries are refined."""

    eats = "image"
    answers = "mask"
    kind: Literal["gcn_resnet50", "gcn_resnet101", "gcn_resnet152"]
    variant: Literal["paper", "yassouali"] = Field(
        default="paper", description="whose layers: the paper's, or pytorch-segmentation's"
    )
    kernel: Literal[7, 11, 15] | None = Field(
        default=None, description="places on a side of the large kernels; by default 15, of yassouali 11"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The paper's size."""
        return (self.in_channels, 512, 512)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.gcn import GCN

        return GCN(self.depth, num_classes=num_classes, stem="imagenet", **self.arguments())
