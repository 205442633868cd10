"""SSD (Liu et al. 2016, "SSD: single shot multibox detector"): boxes are told from priors on maps of several sizes."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from models.ops.boxes import clipped, cornered, decode
from models.ops.detections import detections
from models.ops.priors import Priors
from models.ssd_loss import Targets, match, ssd_losses


class SSD(nn.Module):
    """A detector: float [B, in_channels, H, W] -> its heads, by name.

    `codes` float [B, P, 4], `scores` logits [B, P, num_classes + 1], whose first column is the background, and `priors`
    [B, P, 4], the same for all, centred in px. A subclass has `maps`; `boxes` and `scores` make of each map the
    numbers of a place, prior after prior.
    """

    boxes: nn.ModuleList
    scores: nn.ModuleList

    def __init__(self, priors: Priors, num_classes: int) -> None:
        super().__init__()
        self.priors = priors
        self.num_classes = num_classes

    @abstractmethod
    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> a map for each pair of heads, the finest first: [B, channels, h, w]."""

    @abstractmethod
    def sides(self, px: int) -> list[int]:
        """Count the places of each map along a side of the input."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Float [B, in_channels, H, W] -> heads."""
        maps = self.maps(x)
        places = [(one.shape[2], one.shape[3]) for one in maps]
        priors = self.priors.boxes(places, (x.shape[2], x.shape[3]), x.device)
        return {
            "codes": _by_prior(self.boxes, maps, 4),
            "scores": _by_prior(self.scores, maps, self.num_classes + 1),
            "priors": priors.expand(x.shape[0], -1, -1),
        }

    def counts(self, targets: Targets, size: tuple[int, int]) -> dict[str, Tensor]:
        """Count matched priors of each picture of `size` (H, W) px, by which both parts of the loss are divided."""
        places = list(zip(*(self.sides(px) for px in size), strict=True))
        matched = (match(self.priors.boxes(places, size, targets["boxes"].device), targets) >= 0).sum(1).float()
        return {"boxes": matched, "classes": matched}

    def losses(self, heads: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Sum the parts of each picture's loss, see `ssd_losses`, which has the targets."""
        return ssd_losses(heads["codes"], heads["scores"], heads["priors"][0], targets)

    def decode(
        self,
        heads: Mapping[str, Tensor],
        size: tuple[int, int],
        most: int,
        threshold: float = 0.01,
        overlap: float = 0.45,
    ) -> dict[str, Tensor]:
        """Find objects of pictures of `size` (H, W) px: see `detections`. Boxes are corners in px."""
        boxes = clipped(cornered(decode(heads["codes"].float(), heads["priors"])), size)
        return detections(boxes, heads["scores"].float().softmax(2)[..., 1:], most, threshold, overlap)


def draw(layers: Iterable[nn.Module]) -> None:
    """Draw the weights of convolutions as the authors' code does that of what is new: Glorot's, and no biases."""
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def _by_prior(heads: nn.ModuleList, maps: list[Tensor], numbers: int) -> Tensor:
    """Lay out what heads give as [B, P, numbers]: map after map, place after place, prior after prior."""
    given = [head(one).permute(0, 2, 3, 1) for head, one in zip(heads, maps, strict=True)]
    return torch.cat([one.reshape(one.shape[0], -1, numbers) for one in given], 1)
