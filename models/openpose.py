"""OpenPose (Cao et al. 2017, "Realtime multi-person 2D pose estimation using part affinity fields"), and its hand model
(Simon et al. 2017, "Hand keypoint detection in single images using multiview bootstrapping").

Layers have the names of CMU's Caffe files, in the parts that the widely used port of them has. No activation is behind
a stage's last layer: that port has one behind the last heat maps, and the Caffe networks have none.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

STRIDE = 8
"""Px between the places of a map."""
# Layers of VGG-19, channels in widths; a 2x2 max pool is behind each of the first three stages.
_VGG = (("1", 1, 2), ("2", 2, 2), ("3", 4, 4))
Layer = tuple[str, int, int]
"""Name, channels and kernel of a convolution."""


def chain(in_channels: int, layers: Sequence[Layer], last_relu: bool) -> OrderedDict[str, nn.Module]:
    """Name convolutions that keep the size, each with a ReLU behind it; behind the last one if `last_relu`."""
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for name, channels, kernel in layers:
        named[name] = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2)
        named[f"relu_{name}"] = nn.ReLU(inplace=True)
        in_channels = channels
    if not last_relu:
        named.popitem()
    return named


def trunk(in_channels: int, width: int, more: Sequence[Layer]) -> nn.Sequential:
    """Build VGG-19's first eight layers and `more`: float [B, in_channels, H, W] -> [B, C, H/8, W/8], rounded down."""
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, widths, count in _VGG:
        layers = [(f"conv{stage}_{i + 1}", widths * width, 3) for i in range(count)]
        named |= chain(in_channels, layers, True) | {f"pool{stage}": nn.MaxPool2d(2)}
        in_channels = widths * width
    named |= chain(in_channels, more, True)
    built = nn.Sequential(named)
    for layer in built:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.get_parameter("bias"))
    return built


def drawn(stages: nn.Module) -> None:
    """Draw the layers of stages as the Caffe networks do: Gaussian, with a standard deviation of 0.01."""
    for layer in stages.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))


class OpenPose(nn.Module):
    """Heat maps and affinity fields of bodies, a stage after the other, each of which learns (sections 2.1 to 2.3).

    Float [B, in_channels, H, W] -> `heat` [B, stages, joints + 1, H/8, W/8], the last channel of which is the
    background, and `limbs` [B, stages, 2 limbs, H/8, W/8], x and y of each limb's field. With `bgr` the first
    convolution gets the channels of RGB in the order of Caffe's files.
    """

    stride = STRIDE

    def __init__(self, *, joints: int, limbs: int, stages: int, width: int, in_channels: int, bgr: bool) -> None:
        super().__init__()
        self.bgr = bgr
        deep = [("conv4_1", 8), ("conv4_2", 8), ("conv4_3_CPM", 4), ("conv4_4_CPM", 2)]
        self.model0 = trunk(in_channels, width, [(name, widths * width, 3) for name, widths in deep])
        side, outs = 2 * width, (2 * limbs, joints + 1)
        self.branches: list[tuple[str, str]] = []
        for stage in range(1, stages + 1):
            names = []
            for branch, out in enumerate(outs, 1):
                if stage == 1:
                    names_of = "conv5_{}_CPM_L{}"
                    sizes = [(side, 3)] * 3 + [(8 * width, 1), (out, 1)]
                else:
                    names_of = f"Mconv{{}}_stage{stage}_L{{}}"
                    sizes = [(side, 7)] * 5 + [(side, 1), (out, 1)]
                layers = [
                    (names_of.format(i, branch), channels, kernel) for i, (channels, kernel) in enumerate(sizes, 1)
                ]
                entering = side if stage == 1 else side + sum(outs)
                part = nn.Sequential(chain(entering, layers, last_relu=False))
                drawn(part)
                names.append(f"model{stage}_{branch}")
                self.add_module(names[-1], part)
            self.branches.append((names[0], names[1]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Float [B, in_channels, H, W] -> maps of all stages."""
        features: Tensor = self.model0(x.flip(1) if self.bgr else x)
        limbs, heat, entering = [], [], features
        for first, second in self.branches:
            limbs.append(self.get_submodule(first)(entering))
            heat.append(self.get_submodule(second)(entering))
            entering = torch.cat([limbs[-1], heat[-1], features], 1)
        return {"heat": torch.stack(heat, 1), "limbs": torch.stack(limbs, 1)}


class OpenPoseHand(nn.Module):
    """Heat maps of the joints of one hand that fills the picture.

    Float [B, in_channels, H, W] -> `heat` [B, stages, joints + 1, H/8, W/8], the last channel of which is the
    background.
    """

    stride = STRIDE

    def __init__(self, *, joints: int, stages: int, width: int, in_channels: int, bgr: bool) -> None:
        super().__init__()
        self.bgr = bgr
        deep = [*((f"conv4_{i}", 8) for i in range(1, 5)), ("conv5_1", 8), ("conv5_2", 8), ("conv5_3_CPM", 2)]
        self.model1_0 = trunk(in_channels, width, [(name, widths * width, 3) for name, widths in deep])
        side, out = 2 * width, joints + 1
        first = [("conv6_1_CPM", 8 * width, 1), ("conv6_2_CPM", out, 1)]
        self.model1_1 = nn.Sequential(chain(side, first, last_relu=False))
        self.later = [f"model{stage}" for stage in range(2, stages + 1)]
        for stage, name in enumerate(self.later, 2):
            sizes = [(side, 7)] * 5 + [(side, 1), (out, 1)]
            layers = [(f"Mconv{i}_stage{stage}", channels, kernel) for i, (channels, kernel) in enumerate(sizes, 1)]
            self.add_module(name, nn.Sequential(chain(side + out, layers, last_relu=False)))
        for name in ("model1_1", *self.later):
            drawn(self.get_submodule(name))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Float [B, in_channels, H, W] -> maps of all stages."""
        features: Tensor = self.model1_0(x.flip(1) if self.bgr else x)
        heat = [self.model1_1(features)]
        for name in self.later:
            heat.append(self.get_submodule(name)(torch.cat([heat[-1], features], 1)))
        return {"heat": torch.stack(heat, 1)}
