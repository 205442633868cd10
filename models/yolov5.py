"""YOLOv5 v6 (after Redmon & Farhadi 2018, "YOLOv3"), written from its published description, and HorNet in it.

Layers have the numbers of the description, so that published state dicts can be loaded.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ops.boxes import clipped, cornered
from models.ops.detections import detections
from models.ssd_loss import Targets
from models.yolo_cells import STRIDES, boxes, cells
from models.yolo_layers import C3, SPPF, Conv, Detect, HorBlocks, HorNetLevels, gated, plain
from models.yolo_loss import PUBLISHED_PX, counts, losses

CHANNELS = (64, 128, 256, 512, 1024)
"""Of the maps of strides 2, 4, 8, 16 and 32, at a width of 1."""
REPEATS = (3, 6, 9, 3)
"""Bottlenecks of the backbone's four C3s, at a depth of 1; the neck's have three each."""
HORNET_DEPTHS = (2, 3, 18, 2)
"""Blocks of the HorNet in place of the backbone, at a depth of 1."""
# How many objects a picture is thought to have at the start, and how likely one of all classes is.
OBJECTS_AT_START, CLASS_AT_START = 8, 0.6


class YOLOv5(nn.Module):
    """A detector of one stage: float [B, in_channels, H, W] -> its heads, by name.

    `codes` [B, P, 4], `objectness`, logits [B, P], `scores`, logits [B, P, num_classes], and `cells` [B, P, 5], the
    same for all, see `models.yolo_cells`. Pictures are filled up with zeros on the right and below to a multiple of
    32 px. Of one class alone, objectness is its score.

    depth, width: multiply the repeats of C3 and the channels of every layer
    anchors: widths and heights in px, three a level
    gains: weights of the loss of boxes, of objectness and of classes
    gnconv: the order of gnConvs in the neck's C3s, in place of 3x3 convolutions; 0: none
    horblock: "backbone": HorNet's blocks in place of the backbone's C3s; "neck": of those of the neck that leave the
        number of channels as it is, the two last ones
    hornet: a whole HorNet in place of the backbone, its depths times `depth`
    """

    def __init__(
        self,
        *,
        num_classes: int,
        depth: float,
        width: float,
        in_channels: int,
        anchors: Sequence[Sequence[tuple[float, float]]],
        gains: tuple[float, float, float],
        gnconv: int = 0,
        horblock: str = "",
        horblock_order: int = 5,
        hornet: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.gains, self.hornet = num_classes, gains, hornet
        channels = [math.ceil(one * width / 8) * 8 for one in CHANNELS]
        _, _, c3, c4, c5 = channels
        repeats = [max(round(one * depth), 1) for one in REPEATS]
        order = horblock_order if horblock == "backbone" else 0
        if hornet:
            a, b, c, d = (max(round(one * depth), 1) for one in HORNET_DEPTHS)
            layers: dict[str, nn.Module] = {"backbone": HorNetLevels(in_channels, channels[1], (a, b, c, d))}
        else:
            layers = _csp(in_channels, channels, repeats, order)
        neck, mix = max(round(3 * depth), 1), gated(gnconv) if gnconv else plain
        same = [
            HorBlocks(one, neck, horblock_order) if horblock == "neck" else C3(one, one, neck, False, mix)
            for one in (c4, c5)
        ]
        strides = torch.tensor(STRIDES, dtype=torch.float32)[:, None, None]
        layers |= {
            "9": SPPF(c5),
            "10": Conv(c5, c4),
            "13": C3(2 * c4, c4, neck, False, mix),
            "14": Conv(c4, c3),
            "17": C3(2 * c3, c3, neck, False, mix),
            "18": Conv(c3, c3, 3, 2),
            "20": same[0],
            "21": Conv(c4, c4, 3, 2),
            "23": same[1],
            "24": Detect([c3, c4, c5], torch.tensor(anchors) / strides, 5 + num_classes),
        }
        self.model = nn.ModuleDict(layers)
        self._draw_biases()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Float [B, in_channels, H, W] -> heads."""
        height, width = x.shape[2:]
        x = functional.pad(x, (0, -width % STRIDES[-1], 0, -height % STRIDES[-1]))
        maps = self.maps(x)
        said = self.model["24"](maps)
        places = cells([(one.shape[2], one.shape[3]) for one in maps], self.anchors)
        codes, objectness, scores = said.split([4, 1, self.num_classes], 2)
        return {
            "codes": codes,
            "objectness": objectness[..., 0],
            "scores": scores,
            "cells": places.expand(x.shape[0], -1, -1),
        }

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] of whole cells -> the maps that boxes are told from, finest first."""
        layer = self.model
        fine, middle, coarse = (_maps_of_hornet if self.hornet else _maps_of_csp)(layer, x)
        top = layer["10"](layer["9"](coarse))
        joined = layer["14"](layer["13"](torch.cat([_doubled(top), middle], 1)))
        fine = layer["17"](torch.cat([_doubled(joined), fine], 1))
        middle = layer["20"](torch.cat([layer["18"](fine), joined], 1))
        return [fine, middle, layer["23"](torch.cat([layer["21"](middle), top], 1))]

    @property
    def anchors(self) -> Tensor:
        """Widths and heights of the anchors of each level, float [L, 3, 2] in px."""
        of_strides: Any = self.model["24"].anchors
        return of_strides * of_strides.new_tensor(STRIDES)[:, None, None]

    def counts(self, targets: Targets, size: tuple[int, int]) -> dict[str, Tensor]:
        """Count what each part of the loss is divided by, of pictures of `size` (H, W) px: see `yolo_loss`."""
        return counts(targets, self.anchors, size, self.num_classes)

    def losses(self, heads: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Sum the parts of each picture's loss, see `yolo_loss`, which has the targets."""
        said = (heads["codes"], heads["objectness"], heads["scores"])
        return losses(*said, heads["cells"][0], targets, self.anchors, self.gains)

    def decode(
        self,
        heads: Mapping[str, Tensor],
        size: tuple[int, int],
        most: int,
        threshold: float = 0.001,
        overlap: float = 0.6,
    ) -> dict[str, Tensor]:
        """Find objects of pictures of `size` (H, W) px: see `detections`. Boxes are corners in px."""
        found = clipped(cornered(boxes(heads["codes"].float(), heads["cells"])), size)
        scores = heads["objectness"].float().sigmoid()[..., None]
        if self.num_classes > 1:
            scores = scores * heads["scores"].float().sigmoid()
        return detections(found, scores, most, threshold, overlap)

    @torch.no_grad()
    def _draw_biases(self) -> None:
        """Begin with few objects in many cells, and classes alike (Lin et al. 2017, "Focal loss", section 3.3)."""
        heads: Any = self.model["24"].m
        for head, stride in zip(heads, STRIDES, strict=True):
            bias = head.bias.view(3, -1)
            bias[:, 4] += math.log(OBJECTS_AT_START / (PUBLISHED_PX / stride) ** 2)
            bias[:, 5:] += math.log(CLASS_AT_START / (self.num_classes - 0.99999))


def _csp(in_channels: int, channels: Sequence[int], repeats: Sequence[int], order: int) -> dict[str, nn.Module]:
    """Make layers 0 to 8: a stem, then a convolution that halves the map, and a C3, four times."""
    layers: dict[str, nn.Module] = {"0": Conv(in_channels, channels[0], 6, 2, 2)}
    for i, times in enumerate(repeats):
        before, after = channels[i : i + 2]
        layers[str(2 * i + 1)] = Conv(before, after, 3, 2)
        layers[str(2 * i + 2)] = HorBlocks(after, times, order) if order else C3(after, after, times)
    return layers


def _maps_of_csp(layers: nn.ModuleDict, x: Tensor) -> list[Tensor]:
    maps = []
    for i in range(9):
        x = layers[str(i)](x)
        if i in (4, 6, 8):
            maps.append(x)
    return maps


def _maps_of_hornet(layers: nn.ModuleDict, x: Tensor) -> list[Tensor]:
    found: list[Tensor] = layers["backbone"](x)
    return found


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
