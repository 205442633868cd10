"""TRN (Zhou et al. 2018, "Temporal relational reasoning in videos"): TSN whose frames are related before classes are.

Of each number n of frames from all N down to 2, tuples in the order of time go through an MLP of their own, and what
these say of classes is summed (section 3.2, equation 4). Names of parameters are the release's. The release draws its
tuples in evaluation too, so that its scores differ from run to run; here evaluation has fixed ones, see `evenly`.
"""

from itertools import combinations
from math import comb
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.bn_inception import BNInception
from models.resnet import Backbone
from models.tsn import TSN
from models.volume import check_clip

TUPLES = 3
"""Of each number of frames but all; fewer where there are not so many."""


class TRN(TSN):
    """A video classifier: float [B, C, frames, H, W] -> logits [B, num_classes]; H and W are free.

    A frame's features, `relation` of them, come of TSN's last layer.
    """

    def __init__(
        self, backbone: Backbone | BNInception, *, num_classes: int, frames: int, relation: int, **others: Any
    ) -> None:
        super().__init__(backbone, num_classes=relation, **others)
        self.frames = frames
        self.scales = tuple(range(frames, 1, -1))
        self.consensus = nn.ModuleDict(
            {
                "fc_fusion_scales": nn.ModuleList(
                    nn.Sequential(
                        nn.ReLU(), nn.Linear(n * relation, relation), nn.ReLU(), nn.Linear(relation, num_classes)
                    )
                    for n in self.scales
                )
            }
        )
        for n in self.scales:
            every = torch.tensor(list(combinations(range(frames), n)))
            self.register_buffer(f"tuples_{n}", every, persistent=False)

    def described(self, x: Tensor) -> Tensor:
        """Map float [B, C, frames, H, W] -> [B, frames, relation]; ZoetropeError for another number of frames."""
        check_clip(self, x, self.base_model.in_channels, self.frames)
        return self.new_fc(self.dropout(self.frame_features(x)))

    def related(self, described: Tensor, tuples: list[Tensor]) -> Tensor:
        """Map what frames are described by, and tuples long [count, n] of each scale -> [B, (frames - 1) * relation].

        Of each scale, from all frames down to two, it is the sum over its tuples of what its MLP's last layer takes.
        """
        mlps: Any = self.consensus["fc_fusion_scales"]
        sums = [mlp[:3](described[:, picked].flatten(2)).sum(1) for mlp, picked in zip(mlps, tuples, strict=True)]
        return torch.cat(sums, 1)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, C, frames, H, W] -> [B, (frames - 1) * relation], see `related`."""
        return self.related(self.described(x), self.tuples())

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, frames, H, W] -> logits [B, num_classes], summed over scales and tuples.

        The last layers are linear, so that each takes a sum, and gives its bias as often as there are tuples.
        """
        mlps: Any = self.consensus["fc_fusion_scales"]
        parts = self.features(x).chunk(len(self.scales), 1)
        logits = [
            functional.linear(part, mlp[3].weight, mlp[3].bias * min(TUPLES, comb(self.frames, n)))
            for part, mlp, n in zip(parts, mlps, self.scales, strict=True)
        ]
        return torch.stack(logits).sum(0)

    def tuples(self) -> list[Tensor]:
        """Return long [count, n] for each scale: drawn without replacement in training, fixed in evaluation.

        They are drawn from torch's generator, and the same for all clips of a batch, as the release's.
        """
        picked = []
        for n in self.scales:
            every = self.get_buffer(f"tuples_{n}")
            places = torch.randperm(len(every), device=every.device)[:TUPLES] if self.training else evenly(len(every))
            picked.append(every[places])
        return picked


def evenly(count: int) -> list[int]:
    """Return which of so many tuples evaluation has: the first, the last and the one in the middle.

    In the order of combinations these begin with the clip's first frames, and end with its last.
    """
    return sorted({0, (count - 1) // 2, count - 1})[:TUPLES]
