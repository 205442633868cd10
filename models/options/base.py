"""What the options of every family of models share."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import nn

Eats = Literal["image", "video", "video+flow"]
Answers = Literal["classes", "mask", "objects", "keypoints", "image"]
BGR = "take the channels in the order of Caffe's files: true for official weights"


class ModelOptions(BaseModel):
    """Base of all families; a family adds its names as the key `kind`, its options, and `build`.

    `eats` says what a family takes: "image" [B, C, H, W], "video" [B, C, T, H, W], or "video+flow", the same and, by
    the name `flow`, [B, 2 L, T, H, W]; `answers` what it gives: logits of "classes" [B, K] or of a "mask" [B, K, H, W],
    each perhaps in a tuple, the main head's first; "objects" or "keypoints", tensors by name; or an "image"
    [B, 3, s H, s W], `scale` s, whose values mean what those of the input do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    eats: ClassVar[Eats]
    answers: ClassVar[Answers] = "classes"
    outlines: ClassVar[bool] = False
    """Whether objects are answered with their masks."""
    late: ClassVar[frozenset[str]] = frozenset()
    """Options that came later than artifacts which must stay valid, see `pipeline.recipe.section`."""
    margin_px: ClassVar[int] = 0
    """What a mask is smaller than the input at each side."""
    if TYPE_CHECKING:
        kind: str  # a field of each family, whose `Literal` holds its names

    weights: str | None = Field(
        default=None,
        description="weights to start from: official ones by name (`imagenet1k`), a run by name or id, a path, an "
        "https URL or hf://org/name/file; see [weights](weights.md)",
    )
    init: Literal["own", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"] = Field(
        default="own", description="how weights are drawn; 'own' is as the model was published"
    )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the family's models, which are all that `kind` may be."""
        return get_args(cls.model_fields["kind"].annotation)

    @classmethod
    def modality(cls) -> str:
        """Return what a sample is that the family's models look at: "image" or "video"."""
        return cls.eats.partition("+")[0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, frames (of a clip), height and width of the published input, for which costs are counted."""
        channels = getattr(self, "in_channels", 3)
        return (channels, 224, 224) if self.eats == "image" else (channels, 8, 224, 224)

    def valid_side(self, px: int) -> int:
        """Raise a side of the input to the next that the model takes."""
        return px

    def valid_frames(self, frames: int) -> int:
        """Return the number of frames of a clip that the model takes in place of `frames`."""
        return frames

    def arguments(self) -> dict[str, Any]:
        """Return the family's own options: the keyword parameters of its module."""
        return self.model_dump(exclude={"kind", *ModelOptions.model_fields})

    def build(self, num_classes: int) -> "nn.Module":
        """Build the model as it is drawn when nothing is loaded. The module is imported here, torch with it."""
        raise NotImplementedError
