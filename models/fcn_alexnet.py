"""FCN-AlexNet (Shelhamer, Long & Darrell 2017, table 1): the AlexNet of Caffe as a convolutional network.

It is not torchvision's AlexNet: it has more channels, two groups in three of its convolutions, and responses normalised
over channels, as in 2012.
"""

from torch import Tensor, nn

from models.fcn import PADDING_PX, Deconvolution, cut

OFFSET_PX = 18
"""Where the enlarged scores are cut: their places are 32 px apart, and the first is in the middle of pixel 13."""
STRIDE, KERNEL = 32, 63


class FCNAlexNet(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    Scores start at zero (section 4.1). The kernel that enlarges is fixed in the released network; `learn_upsample`
    trains it.
    """

    margin_px = 0

    def __init__(self, *, num_classes: int, width: int, in_channels: int, dropout: float, learn_upsample: bool) -> None:
        super().__init__()
        first, second, third, last, linear = 2 * round(0.75 * width), 4 * width, 6 * width, 4 * width, 64 * width
        norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.convs = nn.Sequential(
            *(nn.Conv2d(in_channels, first, 11, 4, PADDING_PX), nn.ReLU(True), pool, norm),
            *(nn.Conv2d(first, second, 5, padding=2, groups=2), nn.ReLU(True), pool, norm),
            *(nn.Conv2d(second, third, 3, padding=1), nn.ReLU(True)),
            *(nn.Conv2d(third, third, 3, padding=1, groups=2), nn.ReLU(True)),
            *(nn.Conv2d(third, last, 3, padding=1, groups=2), nn.ReLU(True), pool),
        )
        self.classifier = nn.Sequential(
            *(nn.Conv2d(last, linear, 6), nn.ReLU(True), nn.Dropout(dropout)),
            *(nn.Conv2d(linear, linear, 1), nn.ReLU(True), nn.Dropout(dropout)),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # there is one
        self.score = nn.ModuleDict({"fc7": nn.Conv2d(linear, num_classes, 1)})
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)
        self.upscore = nn.ModuleDict({"x32": Deconvolution(num_classes, STRIDE, learn_upsample, KERNEL)})

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]."""
        scores = self.score["fc7"](self.classifier(self.convs(x)))
        return cut(self.upscore["x32"](scores), OFFSET_PX, x)
