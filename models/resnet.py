"""ResNet (He et al. 2016, "Deep residual learning for image recognition"), with torchvision's names of parameters.

Bottlenecks stride in their 3x3 convolution, as torchvision's do (often called v1.5), so its weights load as they are.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.recompute import recomputed

# Of the 3x3 convolution that may stride, and of one behind it: the second is larger where a stride was left out.
Dilations = tuple[int, int]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions: [B, in_channels, H, W] -> [B, channels, H/stride, W/stride]."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, dilations: Dilations = (1, 1)) -> None:
        super().__init__()
        first, second = dilations
        self.conv1: nn.Module = nn.Conv2d(in_channels, channels, 3, stride, first, first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _projection(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] -> [B, channels, H/stride, W/stride]."""
        return self.after_conv1(x, self.conv1(x))

    def after_conv1(self, x: Tensor, y: Tensor) -> Tensor:
        """Run the rest of the block, from its input `x` and `y`, the output of `conv1`: TSM
        gives `conv1` another input.
        """
        y = self.relu(self.bn1(y))
        y = self.bn2(self.conv2(y))
        # In place: a batch norm's backward needs what went in, not what came out.
        return self.relu(y.add_(x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions: [B, in_channels, H, W] -> [B, 4*channels, H/stride, W/stride].

    The 3x3 convolution has `widening` times `channels`, in `groups`; see `Backbone`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        dilations: Dilations = (1, 1),
        caffe: bool = False,
        widening: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        dilation, _ = dilations
        first, second = (stride, 1) if caffe else (1, stride)
        inside = widening * channels
        self.conv1: nn.Module = nn.Conv2d(in_channels, inside, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, second, dilation, dilation, groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, channels * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(in_channels, channels * 4, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] -> [B, 4*channels, H/stride, W/stride]."""
        return self.after_conv1(x, self.conv1(x))

    def after_conv1(self, x: Tensor, y: Tensor) -> Tensor:
        """Run the rest of the block, from its input `x` and `y`, the output of `conv1`: TSM
        gives `conv1` another input.
        """
        y = self.branch(self.relu(self.bn1(y)))
        # In place: a batch norm's backward needs what went in, not what came out.
        return self.relu(y.add_(x if self.downsample is None else self.downsample(x)))

    def branch(self, y: Tensor) -> Tensor:
        """Map what goes into the 3x3 convolution -> what is added to the shortcut, which may be overwritten."""
        return self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))


Block = type[BasicBlock] | type[Bottleneck]

LAYOUTS: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class Backbone(nn.Module):
    """A ResNet without its head: float [B, in_channels, H, W] -> pooled features [B, num_features].

    For dense tasks, `maps` gives the stages' maps, which have `channels` and `strides`. No stride is larger than
    `output_stride`: stages dilate instead, as with torchvision's `replace_stride_with_dilation`, and every second or
    fourth place of their maps is what they would have given (Chen et al. 2017, "DeepLabv3", section 3.1). The stem
    "deep" is PSPNet's: three 3x3 convolutions, of which the last gives 2 * width channels; those of "resnet_c" are half
    as wide (He et al. 2019, "Bag of tricks", section 4.2).

    Ports of networks of Caffe differ in details: the first block of a stage dilates as the rest (`first_dilates`);
    the last stage's blocks dilate by a multiple each (`multi_grid`, section 3.1 of DeepLabV3); bottlenecks stride in
    their first convolution and the max pool rounds up (`caffe`).

    Bottlenecks are `widening` times as wide inside, in their 3x3 convolution, which may be in `groups`: ResNeXt (Xie et
    al. 2017, "Aggregated residual transformations", section 3) and wide ResNets (Zagoruyko & Komodakis 2016).
    """

    bottleneck: type[Bottleneck] = Bottleneck

    def __init__(
        self,
        depth: int,
        *,
        width: int,
        stem: Literal["imagenet", "small", "deep", "resnet_c"],
        zero_init_residual: bool,
        in_channels: int,
        gradient_checkpointing: bool,
        output_stride: Literal[8, 16, 32] = 32,
        first_dilates: bool = False,
        multi_grid: Sequence[int] = (),
        caffe: bool = False,
        widening: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.gradient_checkpointing = gradient_checkpointing
        block, depths = LAYOUTS[depth]
        self.is_deep = stem in ("deep", "resnet_c")
        first = width // 2 if stem == "resnet_c" else width
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, first, 3, stride=2 if self.is_deep else 1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        if self.is_deep:
            self.conv2 = nn.Conv2d(first, first, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(first)
            self.conv3 = nn.Conv2d(first, 2 * first, 3, padding=1, bias=False)
            self.bn3 = nn.BatchNorm2d(2 * first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=caffe)
        full = [(1 if stem == "small" else 4) * 2**i for i in range(4)]
        self.strides = [min(stride, output_stride) for stride in full]
        self.channels = [width * 2**i * block.expansion for i in range(4)]
        entering = [2 * first if self.is_deep else width, *self.channels]
        build: Callable[..., nn.Module] = block
        if block is Bottleneck:
            build = partial(self.bottleneck, caffe=caffe, widening=widening, groups=groups)
        stages = []
        for i in range(4):
            before = max(i - 1, 0)
            dilation, stride = full[i] // self.strides[i], self.strides[i] // self.strides[before]
            firsts = [dilation] * depths[i]
            if not first_dilates:
                firsts[0] = full[before] // self.strides[before]
            if i == 3 and multi_grid:
                firsts = [dilation * times for times in multi_grid]
            channels = [entering[i], *[self.channels[i]] * (depths[i] - 1)]
            blocks = [
                build(channels[j], width * 2**i, stride if j == 0 else 1, (first, dilation))
                for j, first in enumerate(firsts)
            ]
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.num_features = self.channels[-1]
        initialise(self, zero_init_residual)

    @property
    def stages(self) -> tuple[nn.Sequential, ...]:
        """The four stages, in order; each is a sequence of blocks."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def stem(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, width, H/4, W/4]; [B, width, H, W] if small, 2 * width if deep."""
        x = self.relu(self.bn1(self.conv1(x)))
        if self.is_deep:
            x = self.relu(self.bn2(self.conv2(x)))
            x = self.relu(self.bn3(self.conv3(x)))
        return self.maxpool(x)

    def pooled(self, x: Tensor) -> Tensor:
        """Pool what the last stage gave -> [B, num_features], averaged over height and width."""
        return x.mean((2, 3))

    @property
    def recomputes(self) -> bool:
        """Whether activations inside blocks are computed again in the backward pass that may follow."""
        return self.gradient_checkpointing and self.training and torch.is_grad_enabled()

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features]."""
        x = self.stem(x)
        for stage in self.stages:
            x = self.run_stage(stage, x)
        return self.pooled(x)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Map float [B, in_channels, H, W] -> the four stages' maps (C2 to C5), [B, channels[i], H/strides[i], ...]."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = self.run_stage(stage, x)
            maps.append(x)
        return maps

    def run_stage(self, stage: nn.Sequential, x: Tensor) -> Tensor:
        """Map what went into one of the stages -> what comes out."""
        for block in stage:
            x = recomputed(block, block, x) if self.recomputes else block(x)
        return x


class ResNet(Backbone):
    """An image classifier: float [B, in_channels, H, W] -> logits [B, num_classes].

    With `auxiliary_head`, training gives two of these: the head's, and those of a linear classifier on the third stage
    (Lee et al. 2015, "Deeply-supervised nets"; placed as in Zhao et al. 2017, "PSPNet", section 3.3).
    """

    def __init__(self, depth: int, *, num_classes: int, dropout: float, auxiliary_head: bool, **backbone: Any) -> None:
        super().__init__(depth, **backbone)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.num_features, num_classes)
        self.aux_fc = nn.Linear(self.num_features // 2, num_classes) if auxiliary_head else None

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features], what the head takes."""
        return super().forward(x)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]  # a pair in training only
        """Map float [B, in_channels, H, W] -> logits [B, num_classes].

        A pair of them in training with `auxiliary_head`.
        """
        if self.aux_fc is None or not self.training:
            return self.fc(self.dropout(self.features(x)))
        *_, third, last = self.maps(x)
        return self.fc(self.dropout(self.pooled(last))), self.aux_fc(self.pooled(third))


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Return the shortcut where the shape changes (option B of the paper, section 3.3); None is the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def initialise(backbone: nn.Module, zero_init_residual: bool) -> None:
    """Initialise with Kaiming-normal convolutions (He et al. 2015), as torchvision; batch norms start at the identity
    by themselves.

    `zero_init_residual` starts the last batch norm of every block at 0, so that blocks begin as the identity
    (Goyal et al. 2017, "Accurate, large minibatch SGD", section 5.1).
    """
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif zero_init_residual and isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif zero_init_residual and isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
