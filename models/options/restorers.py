"""Options of the networks that restore pictures."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn

RANGE = (
    "what white is in the model's input: 255, as for official weights, goes with augment.mean [0, 0, 0] and "
    "augment.std [0.00392157, 0.00392157, 0.00392157], and 1 with std [1, 1, 1]"
)
BRIGHTNESS = "1: the brightness alone is restored, as published, which wants augment.mean [0, 0, 0] and std [1, 1, 1]"


class RestorerOptions(ModelOptions):
    """What all share."""

    eats = "image"
    answers = "image"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The patch that EDSR is trained on."""
        return (3, 48, 48)


class UpscalerOptions(RestorerOptions):
    """What those share that enlarge pictures."""

    scale: Literal[1, 2, 3, 4] = Field(
        default=2, description="how many times as large the answer is, each side; task.scale says the same"
    )


class EDSROptions(UpscalerOptions):
    """EDSR as the challenge was won with."""

    kind: Literal["edsr"]
    blocks: int = Field(default=32, ge=1, le=256, description="residual blocks")
    width: int = Field(default=256, ge=4, le=1024, description="channels")
    residual_scale: float = Field(default=0.1, gt=0, le=1, description="what a block's answer is multiplied by")
    pixel_range: float = Field(default=255.0, gt=0, description=RANGE)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.edsr import EDSR

        return EDSR(**self.arguments())


class EDSRBaselineOptions(EDSROptions):
    """EDSR's baseline: 16 blocks of 64 channels."""

    kind: Literal["edsr_baseline"]  # type: ignore[assignment]  # another name of the same family
    blocks: int = Field(default=16, ge=1, le=256, description="residual blocks")
    width: int = Field(default=64, ge=4, le=1024, description="channels")
    residual_scale: float = Field(default=1.0, gt=0, le=1, description="what a block's answer is multiplied by")


class RCANOptions(UpscalerOptions):
    """RCAN: residual groups, whose blocks weigh channels."""

    kind: Literal["rcan"]
    groups: int = Field(default=10, ge=1, le=64, description="residual groups")
    blocks: int = Field(default=20, ge=1, le=64, description="blocks of a group")
    width: int = Field(default=64, ge=4, le=1024, description="channels")
    pixel_range: float = Field(default=255.0, gt=0, description=RANGE)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.rcan import RCAN

        return RCAN(**self.arguments())


class RDNOptions(UpscalerOptions):
    """RDN: residual dense blocks; the defaults are the authors' B, {blocks: 20, layers: 6, growth: 32} their A."""

    kind: Literal["rdn"]
    blocks: int = Field(default=16, ge=1, le=64, description="dense blocks")
    layers: int = Field(default=8, ge=1, le=32, description="convolutions of a block")
    growth: int = Field(default=64, ge=1, le=256, description="channels that each of these adds")
    width: int = Field(default=64, ge=4, le=1024, description="channels between blocks")

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.rdn import RDN

        return RDN(**self.arguments())


class SRCNNOptions(UpscalerOptions):
    """SRCNN; the picture is enlarged inside."""

    kind: Literal["srcnn"]
    channels: Literal[1, 3] = Field(default=1, description=BRIGHTNESS)
    middle: Literal[1, 3, 5] = Field(default=5, description="kernel of the second convolution: 9-1-5, 9-3-5 or 9-5-5")
    width: int = Field(default=64, ge=4, le=1024, description="channels of the first convolution; the second has half")

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.srcnn import SRCNN

        return SRCNN(**self.arguments())


class VDSROptions(UpscalerOptions):
    """VDSR; the picture is enlarged inside."""

    kind: Literal["vdsr"]
    channels: Literal[1, 3] = Field(default=1, description=BRIGHTNESS)
    depth: int = Field(default=20, ge=3, le=100, description="convolutions")
    width: int = Field(default=64, ge=4, le=1024, description="channels")
    bias: bool = Field(default=True, description="of the convolutions; PyTorch's best known port has none")

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.srcnn import VDSR

        return VDSR(**self.arguments())


class DnCNNOptions(RestorerOptions):
    """DnCNN for one level of noise; for any level, and for colours, the authors' has a depth of 20."""

    kind: Literal["dncnn"]
    channels: Literal[1, 3] = Field(default=3, description=BRIGHTNESS)
    depth: int = Field(default=17, ge=3, le=100, description="convolutions")
    width: int = Field(default=64, ge=4, le=1024, description="channels")
    batch_norm: bool = Field(default=True, description="behind the inner convolutions")

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.dncnn import DnCNN

        return DnCNN(**self.arguments())
