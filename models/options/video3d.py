"""Options of video networks of 3D convolutions."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class Video3DOptions(ModelOptions):
    """What every network of 3D convolutions can choose; its clips are of any number of frames and any size."""

    eats = "video"
    frames_and_side: ClassVar[tuple[int, int]] = (16, 112)
    """Of the clips that it was published for."""
    width: int = Field(default=64, ge=4, le=1024, description="channels of the first layer; all others follow")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 2 for optical flow (x, y)")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """See `ModelOptions.input_shape`."""
        frames, side_px = self.frames_and_side
        return (self.in_channels, frames, side_px, side_px)


class VideoResNetOptions(Video3DOptions):
    """ResNet-18 of 3D convolutions: all of them, those of the first stage, or each as one of space and one of time."""

    kind: Literal["r3d_18", "mc3_18", "r2plus1d_18"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.video_resnet import VideoResNet

        return VideoResNet(self.kind, num_classes=num_classes, **self.arguments())


class S3DOptions(Video3DOptions):
    """Inception-v1 whose convolutions are of space, then of time."""

    frames_and_side = (16, 224)
    kind: Literal["s3d"]
    dropout: float = Field(default=0.2, ge=0, lt=1)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.s3d import S3D

        return S3D(num_classes=num_classes, **self.arguments())


class I3DOptions(Video3DOptions):
    """Inception-v1 with a third axis in every kernel, on RGB."""

    frames_and_side = (64, 224)
    kind: Literal["i3d"]
    dropout: float = Field(default=0.5, ge=0, lt=1)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.i3d import I3D

        return I3D(num_classes=num_classes, **self.arguments())


class I3DFlowOptions(I3DOptions):
    """The same on optical flow: its two-stream partner."""

    kind: Literal["i3d_flow"]  # type: ignore[assignment]  # another name of the same module
    in_channels: int = Field(default=2, ge=1, le=1024, description="2 for optical flow (x, y)")
