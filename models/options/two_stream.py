"""Options of two-stream networks, which look at frames and at flow."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from models.options.base import ModelOptions
from models.options.tsm import TSMOptions
from models.options.tsn import TSNOptions
from models.options.video3d import I3DOptions

if TYPE_CHECKING:
    from torch import nn

    from models.two_stream import LateFusion

PREFIX = "two_stream_"


def flow_kind(kind: str) -> str:
    """Return the name of the model of one stream whose official weights start the flow of a two-stream network.

    >>> flow_kind("two_stream_i3d"), flow_kind("two_stream_tsm_resnet50"), flow_kind("fusion_vgg16")
    ('i3d_flow', 'tsm_resnet50', 'vgg16')
    """
    of_one = kind.removeprefix(PREFIX).removeprefix("fusion_")
    return "i3d_flow" if of_one == "i3d" else of_one


def _channels(default: int) -> Any:
    return Field(default=default, ge=2, le=128, multiple_of=2, description="2 for each field that clip.flow asks for")


class TwoStreamOptions(ModelOptions):
    """What every two-stream network can choose."""

    eats = "video+flow"
    in_channels: int = Field(default=3, ge=3, le=3, description="of the stream that looks at frames")
    flow_channels: int = _channels(2)
    flow_weights: str | None = Field(
        default=None,
        description="weights that the stream of flow starts from, as `weights`; by default `weights` start both",
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """See `ModelOptions.input_shape`; frames and flow side by side."""
        channels, *rest = super().input_shape
        return (channels + self.flow_channels, *rest)

    def arguments(self) -> dict[str, Any]:
        """See `ModelOptions.arguments`; weights are no argument."""
        return {name: value for name, value in super().arguments().items() if name != "flow_weights"}

    def averaged(self, family: type[ModelOptions], num_classes: int) -> "LateFusion":
        """Build two networks of a family of one stream, with the same options, whose logits are averaged."""
        from models.two_stream import LateFusion

        options = self.arguments()
        flow_channels = options.pop("flow_channels")
        rgb, flow = (
            family.model_validate({**options, "kind": self.kind.removeprefix(PREFIX), "in_channels": channels})
            for channels in (self.in_channels, flow_channels)
        )
        return LateFusion(rgb.build(num_classes), flow.build(num_classes), flow_channels)


class TwoStreamI3DOptions(TwoStreamOptions, I3DOptions):  # type: ignore[misc]  # of what both eat the first
    """I3D on frames and I3D on flow, their logits averaged."""

    kind: Literal["two_stream_i3d"]  # type: ignore[assignment]  # of two of it

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        return self.averaged(I3DOptions, num_classes)


class TwoStreamTSNOptions(TwoStreamOptions, TSNOptions):  # type: ignore[misc]  # of what both eat the first
    """TSN on frames and TSN on flow, their logits averaged."""

    kind: Literal[  # type: ignore[assignment]  # of two of it
        "two_stream_tsn_resnet18", "two_stream_tsn_resnet34", "two_stream_tsn_resnet50", "two_stream_tsn_resnet101"
    ]
    flow_channels: int = _channels(10)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        return self.averaged(TSNOptions, num_classes)


class TwoStreamTSMOptions(TwoStreamOptions, TSMOptions):  # type: ignore[misc]  # of what both eat the first
    """TSM on frames and TSM on flow, their logits averaged."""

    kind: Literal[  # type: ignore[assignment]  # of two of it
        "two_stream_tsm_resnet18", "two_stream_tsm_resnet34", "two_stream_tsm_resnet50", "two_stream_tsm_resnet101"
    ]
    flow_channels: int = _channels(10)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        return self.averaged(TSMOptions, num_classes)


class FusionOptions(TwoStreamOptions):
    """Two image networks, on frames and on flow, whose maps a 3D convolution joins."""

    frames_and_side: ClassVar[tuple[int, int]] = (5, 224)
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones follow from it"
    )
    flow_channels: int = _channels(20)
    fuse: Literal["concat", "sum"] = Field(
        default="concat", description="how the 3D convolution gets the maps: on each other, or added"
    )
    keep_flow: bool = Field(
        default=True, description="let flow's own network answer beside the fused one, and average their logits"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """See `ModelOptions.input_shape`."""
        frames, side_px = self.frames_and_side
        return (self.in_channels + self.flow_channels, frames, side_px, side_px)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.two_stream import MidFusion

        options = self.arguments()
        width, flow_channels = options.pop("width"), options.pop("flow_channels")
        towers = [self.tower(channels, width) for channels in (options.pop("in_channels"), flow_channels)]
        return MidFusion(towers[0], towers[1], flow_channels, num_classes=num_classes, **options)

    def tower(self, in_channels: int, width: int) -> Any:
        """Build the network of one stream."""
        raise NotImplementedError


class FusionVGGOptions(FusionOptions):
    """VGG-16 on frames and on flow, whose maps a 3D convolution joins."""

    kind: Literal["fusion_vgg16"]

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`."""
        return max(px, 16)

    def tower(self, in_channels: int, width: int) -> Any:
        """See `FusionOptions.tower`."""
        from models.two_stream import VGGTower

        return VGGTower(in_channels, width)


class FusionResNetOptions(FusionOptions):
    """ResNet on frames and on flow, whose maps a 3D convolution joins."""

    kind: Literal["fusion_resnet18", "fusion_resnet34", "fusion_resnet50"]

    def tower(self, in_channels: int, width: int) -> Any:
        """See `FusionOptions.tower`."""
        from models.two_stream import ResNetTower

        depth = int(self.kind.removeprefix("fusion_resnet"))
        return ResNetTower(
            depth,
            width=width,
            stem="imagenet",
            zero_init_residual=False,
            in_channels=in_channels,
            gradient_checkpointing=False,
        )
