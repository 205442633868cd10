"""Every architecture by name. The names and their options stand in `models.options`, which is free of torch."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from models.hornet import HorNet
from models.mobilenet import MobileNetV2, MobileNetV2Backbone
from models.options import BackboneOptions, ModelOptions
from models.resnet import Backbone, ResNet
from models.timesformer import TimeSformer
from models.tsm import TSM
from models.tsn import TSN


def _on_resnet(model: type[TSN], depth: int, **options: Any) -> nn.Module:
    names = BackboneOptions.model_fields.keys() - ModelOptions.model_fields.keys()
    return model(Backbone(depth, **{name: options.pop(name) for name in names}), **options)


def _on_mobilenetv2(model: type[TSN], *, width_mult: float, in_channels: int, **options: Any) -> nn.Module:
    return model(MobileNetV2Backbone(width_mult=width_mult, in_channels=in_channels, nested=False), **options)


MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": partial(ResNet, 18),
    "resnet34": partial(ResNet, 34),
    "resnet50": partial(ResNet, 50),
    "resnet101": partial(ResNet, 101),
    "tsn_resnet18": partial(_on_resnet, TSN, 18),
    "tsn_resnet34": partial(_on_resnet, TSN, 34),
    "tsn_resnet50": partial(_on_resnet, TSN, 50),
    "tsn_resnet101": partial(_on_resnet, TSN, 101),
    "tsm_resnet18": partial(_on_resnet, TSM, 18),
    "tsm_resnet34": partial(_on_resnet, TSM, 34),
    "tsm_resnet50": partial(_on_resnet, TSM, 50),
    "tsm_resnet101": partial(_on_resnet, TSM, 101),
    "mobilenetv2": MobileNetV2,
    "tsn_mobilenetv2": partial(_on_mobilenetv2, TSN),
    "tsm_mobilenetv2": partial(_on_mobilenetv2, TSM),
    "timesformer_base": TimeSformer,
    "timesformer_hr": TimeSformer,
    "timesformer_l": TimeSformer,
    "hornet_tiny_7x7": partial(HorNet, global_filter=False),
    "hornet_tiny_gf": partial(HorNet, global_filter=True),
    "hornet_small_7x7": partial(HorNet, global_filter=False),
    "hornet_small_gf": partial(HorNet, global_filter=True),
    "hornet_base_7x7": partial(HorNet, global_filter=False),
    "hornet_base_gf": partial(HorNet, global_filter=True),
    "hornet_large_7x7": partial(HorNet, global_filter=False),
    "hornet_large_gf": partial(HorNet, global_filter=True),
}
