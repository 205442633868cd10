"""Options of ViT."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class ViTFamily(ModelOptions):
    """Vision transformer on images; the defaults are those of ViT-B."""

    eats = "image"
    late = frozenset({"in_channels"})
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 1 for grey; as data.channels")
    width: int = Field(default=768, ge=8, le=4096, description="length of a token; a multiple of heads")
    depth: int = Field(default=12, ge=1, le=100, description="number of blocks")
    heads: int = Field(default=12, ge=1, le=128)
    patch_px: int = Field(default=16, ge=1, description="side of the patches that images are cut into")
    size_px: int = Field(
        default=224,
        ge=1,
        description="side of the images that embeddings of position are made for; weights of another are resized",
    )
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="rate of the last block; the first has 0")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside blocks but compute them again: less memory, more time"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Images of the size that embeddings are made for."""
        return (self.in_channels, self.size_px, self.size_px)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`: one patch."""
        return max(px, self.patch_px)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.vit import ViT

        return ViT(num_classes=num_classes, **self.arguments())


class ViTBOptions(ViTFamily):
    """ViT-B: blocks in which every patch of 16 px attends to all."""

    kind: Literal["vit_b_16"]


class ViTLOptions(ViTFamily):
    """ViT-L."""

    kind: Literal["vit_l_16"]
    width: int = Field(default=1024, ge=8, le=4096, description="length of a token; a multiple of heads")
    depth: int = Field(default=24, ge=1, le=100, description="number of blocks")
    heads: int = Field(default=16, ge=1, le=128)
