"""What models that answer a mask are made of: a backbone, a classifier of its maps' places, an auxiliary head."""

from torch import Tensor, nn
from torch.nn import functional

from models.resnet import Backbone


class Segmenter(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    `classifier` makes logits of the backbone's last map, which are enlarged. With `aux_classifier`, training gives two
    of these: the classifier's, and those of that head on the third stage. `align_corners` says how maps are enlarged:
    whether the corners of both are the middles of their outermost pixels, as in Caffe, or their outer corners.
    """

    margin_px = 0

    def __init__(
        self, backbone: Backbone, classifier: nn.Module, aux_classifier: nn.Module | None, align_corners: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]; a pair in training with `aux_classifier`."""
        *_, third, last = self.backbone.maps(x)
        logits = enlarged(self.classifier(last), x, self.align_corners)
        if self.aux_classifier is None or not self.training:
            return logits
        return logits, enlarged(self.aux_classifier(third), x, self.align_corners)


def conv_bn_relu(in_channels: int, channels: int, kernel: int, rate: int = 1) -> nn.Sequential:
    """Make a convolution without bias that keeps the size, a batch norm and ReLU: [B, C, H, W] -> [B, C', H, W]."""
    padding = rate * (kernel // 2)
    conv = nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=rate, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(True))


def conv_head(in_channels: int, channels: int, num_classes: int, dropout: nn.Module) -> nn.Sequential:
    """Make a 3x3 convolution, dropout and a 1x1 convolution to logits: [B, in_channels, H, W] -> [B, K, H, W]."""
    return nn.Sequential(*conv_bn_relu(in_channels, channels, 3), dropout, nn.Conv2d(channels, num_classes, 1))


def enlarged(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """Bring a map to the height and width of another one, bilinearly."""
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=align_corners)
