"""The options of every model, as data: what a recipe's `model:` may say. Importing this imports no torch.

A class describes a family; its field names are the keyword parameters of the family's module, its defaults are the
only place where defaults are written, and its `kind` the only one where its names are.

A new family is a file here, which has its options and how its module is built from them, and a line in `FAMILIES`. A
new name that builds the same module with the same defaults is a word in its family's `kind`.
"""

from models.options.alexnet import AlexNetOptions
from models.options.base import Answers, ModelOptions
from models.options.cascade_rcnn import (
    CascadeMaskRCNNConvNeXtBaseOptions,
    CascadeMaskRCNNConvNeXtLargeOptions,
    CascadeMaskRCNNConvNeXtSmallOptions,
    CascadeMaskRCNNConvNeXtTinyOptions,
    CascadeMaskRCNNHorNetBaseOptions,
    CascadeMaskRCNNHorNetLargeOptions,
    CascadeMaskRCNNHorNetSmallOptions,
    CascadeMaskRCNNHorNetTinyOptions,
    CascadeMaskRCNNMobileNetV2Options,
    CascadeMaskRCNNResNet18Options,
    CascadeMaskRCNNResNetOptions,
    CascadeMaskRCNNSwinBOptions,
    CascadeMaskRCNNSwinSOptions,
    CascadeMaskRCNNSwinTOptions,
    CascadeRCNNConvNeXtBaseOptions,
    CascadeRCNNConvNeXtLargeOptions,
    CascadeRCNNConvNeXtSmallOptions,
    CascadeRCNNConvNeXtTinyOptions,
    CascadeRCNNHorNetBaseOptions,
    CascadeRCNNHorNetLargeOptions,
    CascadeRCNNHorNetSmallOptions,
    CascadeRCNNHorNetTinyOptions,
    CascadeRCNNMobileNetV2Options,
    CascadeRCNNResNet18Options,
    CascadeRCNNResNetOptions,
    CascadeRCNNSwinBOptions,
    CascadeRCNNSwinSOptions,
    CascadeRCNNSwinTOptions,
)
from models.options.convnext import (
    ConvNeXtBaseOptions,
    ConvNeXtLargeOptions,
    ConvNeXtSmallOptions,
    ConvNeXtTinyOptions,
)
from models.options.deeplab_v2 import DeepLabV1Options, DeepLabV1ResNetOptions, DeepLabV2Options
from models.options.deeplab_v3 import DeepLabV3Options
from models.options.deeplab_v3_cascade import DeepLabV3CascadeOptions
from models.options.deeplab_v3plus import DeepLabV3MultiGridOptions, DeepLabV3PlusOptions, DeepLabV3PlusXceptionOptions
from models.options.densenet import DenseNet161Options, DenseNetOptions
from models.options.fcn import FCNOptions
from models.options.fcn_alexnet import FCNAlexNetOptions
from models.options.fcn_resnet import FCNResNetOptions
from models.options.gcn import GCNOptions
from models.options.hornet import HorNetBaseOptions, HorNetLargeOptions, HorNetOptions, HorNetSmallOptions
from models.options.mobilenet import MobileNetV2Options
from models.options.pose import OpenPoseHandOptions, OpenPoseOptions, PoseMobileNetV2Options, PoseResNetOptions
from models.options.pspnet import PSPNetOptions
from models.options.rcnn import (
    FasterRCNNMobileNetV2Options,
    FasterRCNNResNet18Options,
    FasterRCNNResNetOptions,
    FasterRCNNV2Options,
    MaskRCNNMobileNetV2Options,
    MaskRCNNResNet18Options,
    MaskRCNNResNetOptions,
    MaskRCNNV2Options,
)
from models.options.resnet import ResNetOptions, ResNeXtOptions, SEResNetOptions, WideResNetOptions
from models.options.restorers import (
    DnCNNOptions,
    EDSRBaselineOptions,
    EDSROptions,
    RCANOptions,
    RDNOptions,
    SRCNNOptions,
    VDSROptions,
)
from models.options.segnet import SegNetOptions
from models.options.ssd import SSDMobileNetV2Options, SSDOptions
from models.options.swin import SwinBOptions, SwinSOptions, SwinTOptions
from models.options.timesformer import TimeSformerHROptions, TimeSformerLOptions, TimeSformerOptions
from models.options.trn import TRNInceptionOptions, TRNOptions
from models.options.tsm import TSMMobileNetV2Options, TSMOptions
from models.options.tsn import TSNMobileNetV2Options, TSNOptions
from models.options.two_stream import (
    FusionResNetOptions,
    FusionVGGOptions,
    TwoStreamI3DOptions,
    TwoStreamTSMOptions,
    TwoStreamTSNOptions,
)
from models.options.unet import UNetBNOptions, UNetOptions
from models.options.unetpp import UNetPlusPlusOptions
from models.options.upernet import (
    UPerNetConvNeXtBaseOptions,
    UPerNetConvNeXtLargeOptions,
    UPerNetConvNeXtSmallOptions,
    UPerNetConvNeXtTinyOptions,
    UPerNetHorNetBaseOptions,
    UPerNetHorNetLargeOptions,
    UPerNetHorNetSmallOptions,
    UPerNetHorNetTinyOptions,
    UPerNetResNetOptions,
    UPerNetSwinBOptions,
    UPerNetSwinSOptions,
    UPerNetSwinTOptions,
)
from models.options.vgg import VGGOptions
from models.options.video3d import (
    C3DOptions,
    ECOLiteOptions,
    I3DFlowOptions,
    I3DOptions,
    I3DResNetOptions,
    S3DOptions,
    SlowFast4x16Options,
    SlowFastOptions,
    SlowFastR101Options,
    VideoResNetOptions,
)
from models.options.vit import ViTBOptions, ViTLOptions
from models.options.yolo import GnConvYOLOv5Options, HorBlockYOLOv5Options, HorNetYOLOv5Options, YOLOv5Options

__all__ = ["FAMILIES", "OPTIONS", "Answers", "ModelOptions"]

# In the order of the recipe reference.
FAMILIES: tuple[type[ModelOptions], ...] = (
    ResNetOptions,
    ResNeXtOptions,
    WideResNetOptions,
    SEResNetOptions,
    DenseNetOptions,
    DenseNet161Options,
    VGGOptions,
    AlexNetOptions,
    TSNOptions,
    TSMOptions,
    TRNOptions,
    TRNInceptionOptions,
    MobileNetV2Options,
    TSNMobileNetV2Options,
    TSMMobileNetV2Options,
    TimeSformerOptions,
    TimeSformerHROptions,
    TimeSformerLOptions,
    VideoResNetOptions,
    S3DOptions,
    I3DOptions,
    I3DFlowOptions,
    SlowFast4x16Options,
    SlowFastOptions,
    SlowFastR101Options,
    I3DResNetOptions,
    ECOLiteOptions,
    C3DOptions,
    TwoStreamI3DOptions,
    TwoStreamTSNOptions,
    TwoStreamTSMOptions,
    FusionVGGOptions,
    FusionResNetOptions,
    ViTBOptions,
    ViTLOptions,
    HorNetOptions,
    HorNetSmallOptions,
    HorNetBaseOptions,
    HorNetLargeOptions,
    SwinTOptions,
    SwinSOptions,
    SwinBOptions,
    ConvNeXtTinyOptions,
    ConvNeXtSmallOptions,
    ConvNeXtBaseOptions,
    ConvNeXtLargeOptions,
    FCNOptions,
    FCNAlexNetOptions,
    FCNResNetOptions,
    UNetOptions,
    UNetBNOptions,
    UNetPlusPlusOptions,
    SegNetOptions,
    PSPNetOptions,
    DeepLabV1Options,
    DeepLabV1ResNetOptions,
    DeepLabV2Options,
    DeepLabV3Options,
    DeepLabV3MultiGridOptions,
    DeepLabV3CascadeOptions,
    DeepLabV3PlusOptions,
    DeepLabV3PlusXceptionOptions,
    GCNOptions,
    UPerNetResNetOptions,
    UPerNetSwinTOptions,
    UPerNetSwinSOptions,
    UPerNetSwinBOptions,
    UPerNetConvNeXtTinyOptions,
    UPerNetConvNeXtSmallOptions,
    UPerNetConvNeXtBaseOptions,
    UPerNetConvNeXtLargeOptions,
    UPerNetHorNetTinyOptions,
    UPerNetHorNetSmallOptions,
    UPerNetHorNetBaseOptions,
    UPerNetHorNetLargeOptions,
    SSDOptions,
    SSDMobileNetV2Options,
    FasterRCNNResNetOptions,
    FasterRCNNV2Options,
    FasterRCNNResNet18Options,
    FasterRCNNMobileNetV2Options,
    OpenPoseOptions,
    OpenPoseHandOptions,
    PoseResNetOptions,
    PoseMobileNetV2Options,
    YOLOv5Options,
    GnConvYOLOv5Options,
    HorBlockYOLOv5Options,
    HorNetYOLOv5Options,
    MaskRCNNResNetOptions,
    MaskRCNNV2Options,
    MaskRCNNResNet18Options,
    MaskRCNNMobileNetV2Options,
    CascadeRCNNResNetOptions,
    CascadeRCNNResNet18Options,
    CascadeRCNNMobileNetV2Options,
    CascadeMaskRCNNResNetOptions,
    CascadeMaskRCNNResNet18Options,
    CascadeMaskRCNNMobileNetV2Options,
    CascadeRCNNSwinTOptions,
    CascadeRCNNSwinSOptions,
    CascadeRCNNSwinBOptions,
    CascadeRCNNConvNeXtTinyOptions,
    CascadeRCNNConvNeXtSmallOptions,
    CascadeRCNNConvNeXtBaseOptions,
    CascadeRCNNConvNeXtLargeOptions,
    CascadeRCNNHorNetTinyOptions,
    CascadeRCNNHorNetSmallOptions,
    CascadeRCNNHorNetBaseOptions,
    CascadeRCNNHorNetLargeOptions,
    CascadeMaskRCNNSwinTOptions,
    CascadeMaskRCNNSwinSOptions,
    CascadeMaskRCNNSwinBOptions,
    CascadeMaskRCNNConvNeXtTinyOptions,
    CascadeMaskRCNNConvNeXtSmallOptions,
    CascadeMaskRCNNConvNeXtBaseOptions,
    CascadeMaskRCNNConvNeXtLargeOptions,
    CascadeMaskRCNNHorNetTinyOptions,
    CascadeMaskRCNNHorNetSmallOptions,
    CascadeMaskRCNNHorNetBaseOptions,
    CascadeMaskRCNNHorNetLargeOptions,
    EDSRBaselineOptions,
    EDSROptions,
    RCANOptions,
    RDNOptions,
    SRCNNOptions,
    VDSROptions,
    DnCNNOptions,
)
OPTIONS: dict[str, type[ModelOptions]] = {name: family for family in FAMILIES for name in family.names()}
