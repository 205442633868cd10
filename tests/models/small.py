"""Every model small: what tests over all of them build and feed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

import models
from models import densenet, pathway, resnet
from models.options import FAMILIES, OPTIONS, ModelOptions
from models.options.alexnet import AlexNetOptions
from models.options.cascade_rcnn import CascadeConvNeXt, CascadeHorNet, CascadeSwin
from models.options.convnext import ConvNeXtFamily
from models.options.deeplab_v2 import DeepLabV1Options
from models.options.deeplab_v3plus import DeepLabV3PlusXceptionOptions
from models.options.densenet import DenseNetFamily
from models.options.fcn import FCNOptions
from models.options.fcn_alexnet import FCNAlexNetOptions
from models.options.hornet import HorNetFamily
from models.options.mobilenet import MobileNetV2Options
from models.options.pose import OpenPoseFamily, PoseMobileNetV2Options, PoseResNetOptions
from models.options.rcnn import OnMobileNetV2, OnResNet
from models.options.resnet import TrunkOptions
from models.options.restorers import DnCNNOptions, EDSROptions, RCANOptions, RDNOptions, SRCNNOptions, VDSROptions
from models.options.segnet import SegNetOptions
from models.options.ssd import SSDMobileNetV2Options, SSDOptions
from models.options.swin import SwinFamily
from models.options.timesformer import TimeSformerFamily
from models.options.trn import TRNInceptionOptions, TRNOptions
from models.options.tsn import MobileNetV2ClipOptions
from models.options.two_stream import FusionOptions, TwoStreamTSMOptions, TwoStreamTSNOptions
from models.options.unet import UNetFamily
from models.options.unetpp import UNetPlusPlusOptions
from models.options.upernet import UPerNetConvNeXt, UPerNetHorNet, UPerNetResNetOptions, UPerNetSwin
from models.options.vgg import VGGOptions
from models.options.video3d import SlowFastOptions, Video3DOptions
from models.options.vit import ViTFamily

HORNET = {"width": 4, "depths": (1, 1, 2, 1), "size_px": 32, "patch_px": 2, "drop_path": 0.0}
SWIN = {"width": 6, "heads": 3, "depths": (2, 1, 1, 1), "patch_px": 2, "drop_path": 0.0}
CONVNEXT = {"width": 4, "depths": (1, 1, 2, 1), "patch_px": 2, "drop_path": 0.0}
RCNN = {"channels": 8, "hidden": 16, "proposals": (60, 20), "rois": 16}
# The cheapest options of each family; everything else is as published.
SMALL: dict[type[ModelOptions], dict[str, Any]] = {
    OpenPoseFamily: {"width": 4, "stages": 3},
    PoseResNetOptions: {"width": 8, "channels": 16},
    PoseMobileNetV2Options: {"width_mult": 0.1, "channels": 16},
    OnResNet: {**RCNN, "width": 8},
    OnMobileNetV2: {**RCNN, "width_mult": 0.1},
    CascadeSwin: {**SWIN, **RCNN, "patch_px": 4},
    CascadeConvNeXt: {**CONVNEXT, **RCNN, "patch_px": 4},
    CascadeHorNet: {**HORNET, **RCNN, "patch_px": 4},
    UPerNetResNetOptions: {"width": 8, "channels": 8},
    UPerNetSwin: {**SWIN, "channels": 8},
    UPerNetConvNeXt: {**CONVNEXT, "channels": 8},
    UPerNetHorNet: {**HORNET, "channels": 8},
    TRNOptions: {"width": 8, "frames": 4},
    TRNInceptionOptions: {"width": 8, "frames": 4},
    TwoStreamTSNOptions: {"width": 8, "flow_channels": 4},
    TwoStreamTSMOptions: {"width": 8, "flow_channels": 4},
    FusionOptions: {"width": 8, "flow_channels": 4},
    TrunkOptions: {"width": 8},
    MobileNetV2Options: {"width_mult": 0.1},
    MobileNetV2ClipOptions: {"width_mult": 0.1},
    TimeSformerFamily: {
        "width": 12,
        "heads": 3,
        "depth": 2,
        "patch_px": 8,
        "size_px": 32,
        "frames": 3,
        "drop_path": 0.0,
    },
    ViTFamily: {"width": 12, "heads": 3, "depth": 2, "patch_px": 8, "size_px": 32},
    HorNetFamily: HORNET,
    SwinFamily: SWIN,
    ConvNeXtFamily: CONVNEXT,
    FCNOptions: {"width": 4, "learn_upsample": True},
    FCNAlexNetOptions: {"width": 4, "learn_upsample": True},
    VGGOptions: {"width": 4},
    DenseNetFamily: {"width": 4},
    AlexNetOptions: {"width": 4},
    UNetFamily: {"width": 4},
    UNetPlusPlusOptions: {"width": 4},
    SegNetOptions: {"width": 4},
    DeepLabV1Options: {"width": 4, "branches": True},
    DeepLabV3PlusXceptionOptions: {"width": 8},
    EDSROptions: {"blocks": 2, "width": 8, "pixel_range": 1.0},
    RCANOptions: {"groups": 2, "blocks": 1, "width": 8, "pixel_range": 1.0},
    RDNOptions: {"blocks": 2, "layers": 2, "growth": 4, "width": 8},
    SRCNNOptions: {"width": 8},
    VDSROptions: {"depth": 4, "width": 8},
    DnCNNOptions: {"depth": 4, "width": 8},
    SlowFastOptions: {"width": 32},  # the fast path has an eighth of it
    Video3DOptions: {"width": 8},
    SSDOptions: {"width": 4},
    SSDMobileNetV2Options: {"width_mult": 0.1},
}
# One name for each module that families build: the first one.
ONE_EACH = list({family.build: family.names()[0] for family in reversed(FAMILIES)}.values())[::-1]


def small(name: str) -> dict[str, Any]:
    """The options that make `name` cheap; as published where its family has no row in `SMALL`."""
    return next((options for family, options in SMALL.items() if issubclass(OPTIONS[name], family)), {})


@contextmanager
def shallow(blocks: tuple[int, int, int, int] = (1, 2, 1, 3)) -> Iterator[None]:
    """Inside, ResNets are built of few blocks, with and without a projection, for what traces each block anew.

    So are DenseNets, of few layers. A deeper one has no other blocks; the last stage's three are those of a multi-grid.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "LAYOUTS", {depth: (block, blocks) for depth, (block, _) in resnet.LAYOUTS.items()})
        patch.setattr(densenet, "DEPTHS", dict.fromkeys(densenet.DEPTHS, blocks))
        for depth in tuple(pathway.BLOCKS):
            patch.setitem(pathway.BLOCKS, depth, blocks)
        yield


def batch(name: str, size_px: tuple[int, int] = (32, 32), num_frames: int = 3, samples: int = 2) -> Tensor:
    """Random images or clips, whichever `name` takes, and no smaller than it takes them; the same at every call."""
    options = models.check_options(name, **small(name))
    size_px = options.valid_side(size_px[0]), options.valid_side(size_px[1])
    frames = (options.valid_frames(num_frames),) if OPTIONS[name].modality() == "video" else ()
    channels = getattr(options, "in_channels", 3) + getattr(options, "flow_channels", 0)
    return torch.randn(samples, channels, *frames, *size_px, generator=torch.Generator().manual_seed(1))
