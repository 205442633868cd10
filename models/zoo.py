"""Every architecture by name. The names and their options stand in `models.options`, which is free of torch."""

from collections.abc import Callable
from functools import partial

from torch import nn

from models.resnet import ResNet
from models.tsm import TSM
from models.tsn import TSN

MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": partial(ResNet, 18),
    "resnet34": partial(ResNet, 34),
    "resnet50": partial(ResNet, 50),
    "resnet101": partial(ResNet, 101),
    "tsn_resnet18": partial(TSN, 18),
    "tsn_resnet34": partial(TSN, 34),
    "tsn_resnet50": partial(TSN, 50),
    "tsn_resnet101": partial(TSN, 101),
    "tsm_resnet18": partial(TSM, 18),
    "tsm_resnet34": partial(TSM, 34),
    "tsm_resnet50": partial(TSM, 50),
    "tsm_resnet101": partial(TSM, 101),
}
