"""Options of FCN on ResNet."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.resnet import BackboneOptions

if TYPE_CHECKING:
    from torch import nn


class FCNResNetOptions(BackboneOptions):
    """Dilated ResNet and one head on its last map, as torchvision has them."""

    eats = "image"
    answers = "mask"
    kind: Literal["fcn_resnet50", "fcn_resnet101"]
    dropout: float = Field(default=0.1, ge=0, lt=1, description="before the last layer of each head")
    auxiliary_head: bool = Field(
        default=True, description="a second head on the third stage, in training; see loss.auxiliary"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """For which torchvision gives costs."""
        return (self.in_channels, 520, 520)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.fcn_resnet import FCNResNet

        return FCNResNet(self.depth, num_classes=num_classes, **self.arguments())
