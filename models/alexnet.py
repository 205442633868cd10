"""AlexNet (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks"), torchvision's."""

from torch import Tensor, nn


class AlexNet(nn.Module):
    """An image classifier: float [B, in_channels, H, W], sides of 63 px or more -> logits [B, num_classes].

    Layers have torchvision's numbers; its `features` is `trunk` here.
    """

    def __init__(self, *, num_classes: int, width: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(nn.Conv2d(in_channels, width, 11, 4, 2), nn.ReLU(True), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(width, 3 * width, 5, 1, 2), nn.ReLU(True), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(3 * width, 6 * width, 3, 1, 1), nn.ReLU(True)),
            *(nn.Conv2d(6 * width, 4 * width, 3, 1, 1), nn.ReLU(True)),
            *(nn.Conv2d(4 * width, 4 * width, 3, 1, 1), nn.ReLU(True), nn.MaxPool2d(3, 2)),
        )
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.num_features = 64 * width
        self.classifier = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(36 * 4 * width, self.num_features), nn.ReLU(True)),
            *(nn.Dropout(dropout), nn.Linear(self.num_features, self.num_features), nn.ReLU(True)),
            nn.Linear(self.num_features, num_classes),
        )

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features], what the last layer takes."""
        return self.classifier[:-1](self.pool(self.trunk(x)).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.classifier[-1](self.features(x))
