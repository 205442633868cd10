"""Options of video networks of 3D convolutions."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from models.options.base import BGR, ModelOptions

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


class I3DResNetOptions(Video3DOptions):
    """ResNet whose blocks see three frames, in some stages every second one; a ResNet for images starts it.

    Networks that have a graph over detected boxes on top of it are left out.
    """

    frames_and_side = (8, 224)
    kind: Literal["i3d_resnet50", "i3d_resnet101"]
    dropout: float = Field(default=0.5, ge=0, lt=1)
    non_local: bool = Field(default=False, description="five non-local blocks in the second and third stage")

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.i3d_resnet import I3DResNet

        return I3DResNet(101 if self.kind.endswith("101") else 50, num_classes=num_classes, **self.arguments())


class SlowFastOptions(Video3DOptions):
    """Few frames in many channels beside all frames in few; 8x8 is 8 frames for the slow path, of 32."""

    frames_and_side = (32, 224)
    kind: Literal["slowfast_8x8_r50"]
    width: int = Field(
        default=64,
        ge=8,
        le=1024,
        multiple_of=8,
        description="channels of the slow path's first layer, a multiple of 8; the fast path has an eighth of it",
    )
    dropout: float = Field(default=0.5, ge=0, lt=1)
    alpha: int = Field(default=4, ge=1, le=64, description="the slow path sees one of so many frames of the clip")
    fusion_kernel: Literal[5, 7] = Field(
        default=7, description="places in time of the convolutions from the fast path to the slow one"
    )

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.slowfast import SlowFast

        return SlowFast(101 if self.kind.endswith("101") else 50, num_classes=num_classes, **self.arguments())


class SlowFast4x16Options(SlowFastOptions):
    """The same with 4 frames of 32 for the slow path."""

    kind: Literal["slowfast_4x16_r50"]  # type: ignore[assignment]  # another name of the same module
    alpha: int = Field(default=8, ge=1, le=64, description="the slow path sees one of so many frames of the clip")
    fusion_kernel: Literal[5, 7] = Field(
        default=5, description="places in time of the convolutions from the fast path to the slow one"
    )


class SlowFastR101Options(SlowFastOptions):
    """The same as 8x8, of 101 layers."""

    kind: Literal["slowfast_8x8_r101"]  # type: ignore[assignment]  # another name of the same module
    fusion_kernel: Literal[5, 7] = Field(
        default=5, description="places in time of the convolutions from the fast path to the slow one"
    )
    temporal_blocks: int = Field(
        default=6,
        ge=0,
        le=23,
        description="blocks of the third stage with kernels in time: 6 is PySlowFast's R101_50_50, 23 its R101_101_101",
    )


class ECOLiteOptions(Video3DOptions):
    """The first layers of BN-Inception on every frame, then the last ones of a 3D ResNet-18 on all of them."""

    frames_and_side = (16, 224)
    kind: Literal["eco_lite"]
    late = frozenset({"bgr"})
    dropout: float = Field(default=0.3, ge=0, lt=1)
    bgr: bool = Field(default=False, description=BGR)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`."""
        return max(px, 7)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.eco import ECOLite

        return ECOLite(num_classes=num_classes, **self.arguments())


class C3DOptions(Video3DOptions):
    """Eight convolutions of 3 x 3 x 3 places and two wide linear layers."""

    kind: Literal["c3d"]
    dropout: float = Field(default=0.5, ge=0, lt=1)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.c3d import C3D

        return C3D(num_classes=num_classes, **self.arguments())
