"""`loss`: what a training minimises."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from pipeline.base.errors import unknown
from pipeline.recipe.section import Fraction, Section

TERMS: dict[str, tuple[str, ...]] = {
    "mask": ("cross_entropy", "dice", "focal", "jaccard", "lovasz", "ohem", "tversky"),
    "image": ("charbonnier", "l1", "l2"),
}
"""What models answer -> the keys of `TERMS` in the task's `losses.py`, which loads torch."""


class Distill(Section):
    """Learn from a trained model, the teacher, too (Hinton et al. 2015): it sees the same input, mixed and all."""

    teacher: str
    """A run of this store by its name, as `ls` shows it; or a path with a `/` in it: of an exported model's folder."""
    temperature: PositiveFloat = 4.0
    """T: both models' logits are divided by it, and this part of the loss is multiplied by T^2."""
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    """w: the loss is (1 - w) * that of the labels + w * T^2 * KL divergence from the teacher's answer."""


class Loss(Section):
    """Cross-entropy; binary cross-entropy, the mean over classes, for multi-label tasks; several terms for masks."""

    late = frozenset({"terms", "border", "stride"})

    label_smoothing: Fraction = 0.0
    """Epsilon of Szegedy et al. 2016, section 7: the target is (1 - eps) * one-hot + eps / K; of a multi-label task
    (1 - eps) * multi-hot + eps / 2."""
    class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None
    """How much a class counts: a mapping of names to weights, in which those left out count 1; or `balanced`:
    N / (K * samples of the class), so that a sample counts 1 on average. Of a multi-label task it is the weight of a
    class' true labels; `balanced` is samples without it / samples with it. Of masks `balanced` goes by pixels."""
    auxiliary: PositiveFloat = 0.4
    """Weight of an auxiliary head's loss, which is added to the head's (`model.auxiliary_head`). GoogLeNet has 0.3,
    PSPNet 0.4."""
    distill: Distill | None = None
    terms: Annotated[dict[str, PositiveFloat], Field(min_length=1)] | None = None
    """The terms whose weighted sum the loss is, of a task whose models answer masks or images: names to weights. Of
    masks, such as `{cross_entropy: 1, dice: 0.5}`; by default cross-entropy alone. `cross_entropy`, `ohem` (of each
    picture's pixels the hardest quarter) and `focal` (gamma 2) are means over pixels; `dice`, `jaccard`, `tversky`
    (alpha 0.3, beta 0.7) and `lovasz` are means over pictures, of the classes that are in each.
    `label_smoothing` is for the first two. Of images `l1`, the default, `l2` and `charbonnier` (epsilon 0.001), means
    over colours in 0..1."""

    border: bool = False
    """Of segmentation: pixels between two instances count up to 11 times (Ronneberger et al. 2015, equation 2); each
    sample needs an instance map."""

    stride: PositiveInt = 1
    """Of segmentation: every so many pixels of a row and a column one is learned. DeepLab v1 and v2 have 8: masks are
    shrunk to the size of their maps (Chen et al. 2015)."""

    @field_validator("terms")
    @classmethod
    def _known(cls, terms: dict[str, float] | None) -> dict[str, float] | None:
        for name in terms or ():
            if name not in (known := [one for of in TERMS.values() for one in of]):
                raise ValueError(unknown("term", name, known))
        return terms
