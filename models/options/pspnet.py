"""Options of PSPNet."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.resnet import TrunkOptions

if TYPE_CHECKING:
    from torch import nn


class PSPNetOptions(TrunkOptions):
    """Dilated ResNet with a deep stem, and a pyramid of its last map's means over 1, 4, 9 and 36 parts."""

    eats = "image"
    answers = "mask"
    kind: Literal["pspnet_resnet50", "pspnet_resnet101"]
    variant: Literal["semseg", "yassouali"] = Field(
        default="semseg", description="whose layers: the authors' hszhao/semseg, or pytorch-segmentation's"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of whole channels, before the last layer of each head")
    auxiliary_head: bool = Field(
        default=True, description="a second head on the third stage, in training; see loss.auxiliary"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The authors' crop for PASCAL VOC and ADE20K."""
        return (self.in_channels, 473, 473)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.pspnet import PSPNet

        return PSPNet(self.depth, num_classes=num_classes, **self.arguments())
