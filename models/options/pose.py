"""Options of models of key points."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from models.options.base import BGR, ModelOptions
from models.options.resnet import TrunkOptions

if TYPE_CHECKING:
    from torch import nn

JOINTS = "heat maps beside that of the background; in a recipe task.body says it"
LIMBS = "affinity fields; in a recipe task.body says it, and 0 are enough where a picture shows one body"
STAGES = "each gets what the one before it gave, and all learn"


class PoseFamily(ModelOptions):
    """What all models of key points can choose."""

    eats = "image"
    answers = "keypoints"
    joints: PositiveInt = Field(default=18, description=JOINTS)
    stages: int = Field(default=6, ge=1, le=16, description=STAGES)


class OpenPoseFamily(PoseFamily):
    """What both of OpenPose's networks can choose."""

    width: int = Field(default=64, ge=2, le=1024, multiple_of=2, description="channels of the first layers of VGG-19")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    bgr: bool = Field(default=False, description=BGR)
    stride: ClassVar[int] = 8
    """Px between the places of a map."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The size that it is published for."""
        return self.in_channels, 368, 368


class OpenPoseOptions(OpenPoseFamily):
    """OpenPose: heat maps of joints and affinity fields of limbs, on VGG-19, for any number of persons."""

    kind: Literal["openpose"]
    limbs: PositiveInt = Field(default=19, description=LIMBS.partition(",")[0])

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.openpose import OpenPose

        return OpenPose(**self.arguments())


class OpenPoseHandOptions(OpenPoseFamily):
    """OpenPose's hand model: heat maps alone, of one hand that fills the picture."""

    kind: Literal["openpose_hand"]
    joints: PositiveInt = Field(default=21, description=JOINTS)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.openpose import OpenPoseHand

        return OpenPoseHand(**self.arguments())


class LightPoseFamily(PoseFamily):
    """OpenPose's stages made light, for small machines and inputs of any size."""

    limbs: int = Field(default=19, ge=0, description=LIMBS)
    stages: int = Field(default=2, ge=1, le=16, description=STAGES)
    channels: PositiveInt = Field(default=96, description="of the layers behind the backbone")
    stride: Literal[4, 8] = Field(default=8, description="px between the places of a map")

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options of the backbone, and those of what is behind it."""
        options = self.arguments()
        names = ("joints", "limbs", "stages", "channels", "stride")
        return options, {name: options.pop(name) for name in names}


class PoseResNetOptions(TrunkOptions, LightPoseFamily):
    """Light stages on ResNet-18, or on a deeper one."""

    kind: Literal["pose_resnet18", "pose_resnet50"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.pose import PoseNet
        from models.resnet import Backbone

        design, head = self.parts()
        return PoseNet(Backbone(self.depth, stem="imagenet", **design), **head)


class PoseMobileNetV2Options(LightPoseFamily):
    """Light stages on MobileNetV2."""

    kind: Literal["pose_mobilenet_v2"]
    width_mult: float = Field(default=1.0, gt=0, le=8, description="multiplies the channels of the backbone's layers")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.mobilenet import MobileNetV2Maps
        from models.pose import PoseNet

        design, head = self.parts()
        return PoseNet(MobileNetV2Maps(**design), **head)
