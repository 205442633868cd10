"""Options of UPerNet, on each of its backbones."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.options.base import ModelOptions
from models.options.convnext import ConvNeXtBase, ConvNeXtFamily, ConvNeXtLarge, ConvNeXtSmall, ConvNeXtTiny
from models.options.hornet import HorNetBase, HorNetFamily, HorNetLarge, HorNetSmall, HorNetTiny
from models.options.resnet import TrunkOptions
from models.options.swin import SwinBase, SwinFamily, SwinSmall, SwinTiny

if TYPE_CHECKING:
    from torch import nn

SIZE_PX = Field(default=384, ge=1, description="side of the images that global filters are made for")


class UPerNetFamily(ModelOptions):
    """What all UPerNets can choose."""

    eats = "image"
    answers = "mask"
    channels: int = Field(
        default=512,
        ge=4,
        le=4096,
        multiple_of=2,
        description="of the decoder's maps; the auxiliary head has half",
    )
    fpn: Literal["fpn", "horfpn", "horfpn_gf"] = Field(
        default="fpn",
        description="how all levels come together: by a 3x3 convolution, or by HorFPN's gnConv, 7x7 or global",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of whole channels, before the last layer of each head")
    auxiliary_head: bool = Field(
        default=True, description="a second head on the third stage, in training; see loss.auxiliary"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The crop of ADE20K's recipes."""
        return (getattr(self, "in_channels", 3), 512, 512)

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the keyword parameters of the backbone, and those of what is on it."""
        options = self.arguments()
        return options, {name: options.pop(name) for name in ("channels", "fpn", "dropout", "auxiliary_head")}


class UPerNetResNetOptions(TrunkOptions, UPerNetFamily):
    """ResNet with a stem of 3x3 convolutions, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_resnet50", "upernet_resnet101"]
    variant: Literal["mmseg", "yassouali"] = Field(
        default="mmseg",
        description="whose layers: mmseg's, or pytorch-segmentation's on torchvision's ResNet, which have no auxiliary "
        "head and channels of their own",
    )

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.resnet import Backbone
        from models.upernet import UPerNet

        design, head = self.parts()
        if design.pop("variant") == "yassouali":
            trunk = Backbone(self.depth, stem="imagenet", output_stride=16, first_dilates=True, **design)
        else:
            trunk = Backbone(self.depth, stem="resnet_c", **design)
        return UPerNet(trunk, num_classes=num_classes, variant=self.variant, **head)


class UPerNetSwin(SwinFamily, UPerNetFamily):
    """What UPerNets on Swin are built by."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.swin import SwinMaps
        from models.upernet import UPerNet

        design, head = self.parts()
        return UPerNet(SwinMaps(**design), num_classes=num_classes, **head)


class UPerNetConvNeXt(ConvNeXtFamily, UPerNetFamily):
    """What UPerNets on ConvNeXt are built by."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.convnext import ConvNeXtMaps
        from models.upernet import UPerNet

        design, head = self.parts()
        return UPerNet(ConvNeXtMaps(**design), num_classes=num_classes, **head)


class UPerNetHorNet(HorNetFamily, UPerNetFamily):
    """What UPerNets on HorNet are built by."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The crop of ADE20K's recipes; filters are made for another size."""
        return (self.in_channels, 512, 512)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`: three times a stage halves it."""
        return max(px, 8 * self.patch_px)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.hornet import HorNetMaps
        from models.upernet import UPerNet

        design, head = self.parts()
        backbone = HorNetMaps(global_filter=self.kind.endswith("_gf"), **design)
        return UPerNet(backbone, num_classes=num_classes, **head)


class UPerNetSwinTOptions(SwinTiny, UPerNetSwin):
    """Swin-T, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_swin_t"]


class UPerNetSwinSOptions(SwinSmall, UPerNetSwin):
    """Swin-S, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_swin_s"]


class UPerNetSwinBOptions(SwinBase, UPerNetSwin):
    """Swin-B, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_swin_b"]


class UPerNetConvNeXtTinyOptions(ConvNeXtTiny, UPerNetConvNeXt):
    """ConvNeXt-T, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_convnext_tiny"]


class UPerNetConvNeXtSmallOptions(ConvNeXtSmall, UPerNetConvNeXt):
    """ConvNeXt-S, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_convnext_small"]


class UPerNetConvNeXtBaseOptions(ConvNeXtBase, UPerNetConvNeXt):
    """ConvNeXt-B, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_convnext_base"]


class UPerNetConvNeXtLargeOptions(ConvNeXtLarge, UPerNetConvNeXt):
    """ConvNeXt-L, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_convnext_large"]


class UPerNetHorNetTinyOptions(HorNetTiny, UPerNetHorNet):
    """HorNet-T, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_hornet_tiny_7x7", "upernet_hornet_tiny_gf"]
    size_px: int = SIZE_PX


class UPerNetHorNetSmallOptions(HorNetSmall, UPerNetHorNet):
    """HorNet-S, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_hornet_small_7x7", "upernet_hornet_small_gf"]
    size_px: int = SIZE_PX


class UPerNetHorNetBaseOptions(HorNetBase, UPerNetHorNet):
    """HorNet-B, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_hornet_base_7x7", "upernet_hornet_base_gf"]
    size_px: int = SIZE_PX


class UPerNetHorNetLargeOptions(HorNetLarge, UPerNetHorNet):
    """HorNet-L, and a pyramid and FPN on its stages."""

    kind: Literal["upernet_hornet_large_7x7", "upernet_hornet_large_gf"]
    size_px: int = SIZE_PX
