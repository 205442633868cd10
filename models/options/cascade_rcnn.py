"""Options of Cascade R-CNN and Cascade Mask R-CNN, on each of their backbones."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.options.convnext import ConvNeXtBase, ConvNeXtFamily, ConvNeXtLarge, ConvNeXtSmall, ConvNeXtTiny
from models.options.hornet import HorNetBase, HorNetFamily, HorNetLarge, HorNetSmall, HorNetTiny
from models.options.rcnn import NORM, LightRCNN, Norm, OnMobileNetV2, OnResNet, Outlined, RCNNFamily
from models.options.swin import SwinBase, SwinFamily, SwinSmall, SwinTiny

if TYPE_CHECKING:
    from torch import nn

SIZE_PX = Field(default=224, ge=1, description="side of the images that global filters are made for")
SIZE_PX_LARGE = Field(default=384, ge=1, description="side of the images that global filters are made for")


class Cascaded(RCNNFamily):
    """Three stages behind the proposals."""

    def detector(self, backbone: "nn.Module", num_classes: int, head: dict[str, Any]) -> "nn.Module":
        """See `RCNNFamily.detector`."""
        from models.cascade_rcnn import CascadeRCNN

        return CascadeRCNN(backbone, num_classes=num_classes, **head)  # type: ignore[arg-type]  # which has `maps`


class OnStages(Cascaded):
    """What is on a backbone that has no batch norms: stages with convolutions and batch norms of their own."""

    norm: Norm = Field(default="batch", description=NORM)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`: pictures are filled up."""
        return px

    def design(self) -> dict[str, Any]:
        """See `RCNNFamily.design`."""
        return {**super().design(), "head": "conv"}


class CascadeSwin(OnStages, SwinFamily):
    """What is built on Swin."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.swin import SwinMaps

        design, head = self.parts()
        return self.detector(SwinMaps(**design), num_classes, head)


class CascadeConvNeXt(OnStages, ConvNeXtFamily):
    """What is built on ConvNeXt."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.convnext import ConvNeXtMaps

        design, head = self.parts()
        return self.detector(ConvNeXtMaps(**design), num_classes, head)


class CascadeHorNet(OnStages, HorNetFamily):
    """What is built on HorNet."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.hornet import HorNetMaps

        design, head = self.parts()
        return self.detector(HorNetMaps(global_filter=self.kind.endswith("_gf"), **design), num_classes, head)


class CascadeRCNNResNetOptions(Cascaded, OnResNet):
    """Cascade R-CNN on ResNet: three stages, each trained with a higher IoU."""

    kind: Literal["cascade_rcnn_resnet50", "cascade_rcnn_resnet101"]


class CascadeRCNNResNet18Options(LightRCNN, Cascaded, OnResNet):
    """The same, light, for small machines."""

    kind: Literal["cascade_rcnn_resnet18"]


class CascadeRCNNMobileNetV2Options(OnMobileNetV2, Cascaded):
    """Cascade R-CNN on MobileNetV2, for small machines."""

    kind: Literal["cascade_rcnn_mobilenet_v2"]


class CascadeMaskRCNNResNetOptions(Outlined, Cascaded, OnResNet):
    """Cascade Mask R-CNN on ResNet: a mask in each box, too."""

    kind: Literal["cascade_mask_rcnn_resnet50", "cascade_mask_rcnn_resnet101"]


class CascadeMaskRCNNResNet18Options(Outlined, LightRCNN, Cascaded, OnResNet):
    """The same, light, for small machines."""

    kind: Literal["cascade_mask_rcnn_resnet18"]


class CascadeMaskRCNNMobileNetV2Options(Outlined, OnMobileNetV2, Cascaded):
    """Cascade Mask R-CNN on MobileNetV2, for small machines."""

    kind: Literal["cascade_mask_rcnn_mobilenet_v2"]


class CascadeRCNNSwinTOptions(SwinTiny, CascadeSwin):
    """Cascade R-CNN on Swin-T."""

    kind: Literal["cascade_rcnn_swin_t"]


class CascadeRCNNSwinSOptions(SwinSmall, CascadeSwin):
    """Cascade R-CNN on Swin-S."""

    kind: Literal["cascade_rcnn_swin_s"]


class CascadeRCNNSwinBOptions(SwinBase, CascadeSwin):
    """Cascade R-CNN on Swin-B."""

    kind: Literal["cascade_rcnn_swin_b"]


class CascadeRCNNConvNeXtTinyOptions(ConvNeXtTiny, CascadeConvNeXt):
    """Cascade R-CNN on ConvNeXt-T."""

    kind: Literal["cascade_rcnn_convnext_tiny"]


class CascadeRCNNConvNeXtSmallOptions(ConvNeXtSmall, CascadeConvNeXt):
    """Cascade R-CNN on ConvNeXt-S."""

    kind: Literal["cascade_rcnn_convnext_small"]


class CascadeRCNNConvNeXtBaseOptions(ConvNeXtBase, CascadeConvNeXt):
    """Cascade R-CNN on ConvNeXt-B."""

    kind: Literal["cascade_rcnn_convnext_base"]


class CascadeRCNNConvNeXtLargeOptions(ConvNeXtLarge, CascadeConvNeXt):
    """Cascade R-CNN on ConvNeXt-L."""

    kind: Literal["cascade_rcnn_convnext_large"]


class CascadeRCNNHorNetTinyOptions(HorNetTiny, CascadeHorNet):
    """Cascade R-CNN on HorNet-T."""

    kind: Literal["cascade_rcnn_hornet_tiny_7x7", "cascade_rcnn_hornet_tiny_gf"]
    size_px: int = SIZE_PX


class CascadeRCNNHorNetSmallOptions(HorNetSmall, CascadeHorNet):
    """Cascade R-CNN on HorNet-S."""

    kind: Literal["cascade_rcnn_hornet_small_7x7", "cascade_rcnn_hornet_small_gf"]
    size_px: int = SIZE_PX


class CascadeRCNNHorNetBaseOptions(HorNetBase, CascadeHorNet):
    """Cascade R-CNN on HorNet-B."""

    kind: Literal["cascade_rcnn_hornet_base_7x7", "cascade_rcnn_hornet_base_gf"]
    size_px: int = SIZE_PX


class CascadeRCNNHorNetLargeOptions(HorNetLarge, CascadeHorNet):
    """Cascade R-CNN on HorNet-L."""

    kind: Literal["cascade_rcnn_hornet_large_7x7", "cascade_rcnn_hornet_large_gf"]
    size_px: int = SIZE_PX_LARGE


class CascadeMaskRCNNSwinTOptions(Outlined, SwinTiny, CascadeSwin):
    """Cascade Mask R-CNN on Swin-T."""

    kind: Literal["cascade_mask_rcnn_swin_t"]


class CascadeMaskRCNNSwinSOptions(Outlined, SwinSmall, CascadeSwin):
    """Cascade Mask R-CNN on Swin-S."""

    kind: Literal["cascade_mask_rcnn_swin_s"]


class CascadeMaskRCNNSwinBOptions(Outlined, SwinBase, CascadeSwin):
    """Cascade Mask R-CNN on Swin-B."""

    kind: Literal["cascade_mask_rcnn_swin_b"]


class CascadeMaskRCNNConvNeXtTinyOptions(Outlined, ConvNeXtTiny, CascadeConvNeXt):
    """Cascade Mask R-CNN on ConvNeXt-T."""

    kind: Literal["cascade_mask_rcnn_convnext_tiny"]


class CascadeMaskRCNNConvNeXtSmallOptions(Outlined, ConvNeXtSmall, CascadeConvNeXt):
    """Cascade Mask R-CNN on ConvNeXt-S."""

    kind: Literal["cascade_mask_rcnn_convnext_small"]


class CascadeMaskRCNNConvNeXtBaseOptions(Outlined, ConvNeXtBase, CascadeConvNeXt):
    """Cascade Mask R-CNN on ConvNeXt-B."""

    kind: Literal["cascade_mask_rcnn_convnext_base"]


class CascadeMaskRCNNConvNeXtLargeOptions(Outlined, ConvNeXtLarge, CascadeConvNeXt):
    """Cascade Mask R-CNN on ConvNeXt-L."""

    kind: Literal["cascade_mask_rcnn_convnext_large"]


class CascadeMaskRCNNHorNetTinyOptions(Outlined, HorNetTiny, CascadeHorNet):
    """Cascade Mask R-CNN on HorNet-T."""

    kind: Literal["cascade_mask_rcnn_hornet_tiny_7x7", "cascade_mask_rcnn_hornet_tiny_gf"]
    size_px: int = SIZE_PX


class CascadeMaskRCNNHorNetSmallOptions(Outlined, HorNetSmall, CascadeHorNet):
    """Cascade Mask R-CNN on HorNet-S."""

    kind: Literal["cascade_mask_rcnn_hornet_small_7x7", "cascade_mask_rcnn_hornet_small_gf"]
    size_px: int = SIZE_PX


class CascadeMaskRCNNHorNetBaseOptions(Outlined, HorNetBase, CascadeHorNet):
    """Cascade Mask R-CNN on HorNet-B."""

    kind: Literal["cascade_mask_rcnn_hornet_base_7x7", "cascade_mask_rcnn_hornet_base_gf"]
    size_px: int = SIZE_PX


class CascadeMaskRCNNHorNetLargeOptions(Outlined, HorNetLarge, CascadeHorNet):
    """Cascade Mask R-CNN on HorNet-L."""

    kind: Literal["cascade_mask_rcnn_hornet_large_7x7", "cascade_mask_rcnn_hornet_large_gf"]
    size_px: int = SIZE_PX_LARGE
