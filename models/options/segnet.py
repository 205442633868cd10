"""Options of SegNet."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class SegNetOptions(ModelOptions):
    """VGG-16 with batch norms and its mirror image, which unpools by the places that the pools found."""

    eats = "image"
    answers = "mask"
    kind: Literal["segnet"]
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8, 8 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    variant: Literal["paper", "yassouali"] = Field(
        default="paper", description="whose layers: the paper's, or pytorch-segmentation's with one convolution more"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The paper's size of CamVid."""
        return (self.in_channels, 360, 480)

    def valid_side(self, px: int) -> int:
        """32 px or more where pools round down."""
        return px if self.variant == "paper" else max(px, 32)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.segnet import SegNet

        return SegNet(num_classes=num_classes, **self.arguments())
