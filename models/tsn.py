"""TSN (Wang et al. 2016, "Temporal segment networks"): an image network on every frame, the frames' logits averaged.

Parameters are named as in the release of TSM, whose TSN this is: `base_model.*` and `new_fc.*`.
"""

from typing import Literal

from torch import Tensor, nn

from models.resnet import Backbone
from pipeline.base.errors import ZoetropeError


class TSN(nn.Module):
    """A video classifier: float [B, 3, T, H, W] -> logits [B, num_classes]; T is free, and may differ between calls."""

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        width: int,
        dropout: float,
        stem: Literal["imagenet", "small"],
        zero_init_residual: bool,
    ) -> None:
        super().__init__()
        self.base_model = Backbone(depth, width=width, stem=stem, zero_init_residual=zero_init_residual)
        self.dropout = nn.Dropout(dropout)
        self.new_fc = nn.Linear(self.base_model.num_features, num_classes)
        nn.init.normal_(self.new_fc.weight, std=0.001)
        nn.init.zeros_(self.new_fc.bias)

    def frame_features(self, x: Tensor) -> Tensor:
        """Float [B, 3, T, H, W] -> [B, T, num_features]."""
        if x.dim() != 5:
            raise ZoetropeError(f"{type(self).__name__} takes clips [B, 3, T, H, W], got the shape {tuple(x.shape)}")
        num_frames = x.shape[2]
        # A view, and already channels-last, when the clip was made of frames [B, T, H, W, C]; else one copy.
        frames = x.transpose(1, 2).flatten(0, 1)
        return self.run_backbone(frames, num_frames).unflatten(0, (-1, num_frames))

    def run_backbone(self, frames: Tensor, num_frames: int) -> Tensor:
        """Float [B*T, 3, H, W] -> [B*T, num_features]; here every frame stands alone."""
        return self.base_model(frames)

    def features(self, x: Tensor) -> Tensor:
        """Float [B, 3, T, H, W] -> [B, num_features], averaged over the frames."""
        return self.frame_features(x).mean(1)

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, 3, T, H, W] -> logits [B, num_classes].

        Dropout is drawn for each frame. The average is taken before the head, which gives the average of the frames'
        logits because the head is linear, at 1/T of its work.
        """
        return self.new_fc(self.dropout(self.frame_features(x)).mean(1))
