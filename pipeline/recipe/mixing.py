"""`mixing`: how the samples of a training batch are mixed with each other."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, field_validator

from pipeline.recipe.duration import Share, parse
from pipeline.recipe.section import Fraction, Section

WHOLE = parse("100%")


class NoMixing(Section):
    """Batches are not mixed."""

    kind: Literal["none"] = "none"


class Mixed(Section):
    """Batches are mixed."""

    late = frozenset({"until"})

    until: Share = WHOLE
    """Until when: `90%` of the training, or `270ep`. The rest sees samples as they are, which detectors trained with
    mosaics end with."""


class Way(Mixed):
    """One way of mixing."""

    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How often a group is mixed; else it stays as it is."""


class Mixup(Way):
    """A weighted mean of two samples, and of their targets (Zhang et al. 2018); of detection, of the losses for the
    objects of each: what is an object in one is background in the other.
    """

    kind: Literal["mixup"]
    alpha: NonNegativeFloat = 0.2
    """The weight is drawn from Beta(alpha, alpha); 0 mixes nothing. The paper has 0.2 for ImageNet, 1 for CIFAR."""


class CutMix(Way):
    """A box of another sample; targets are mixed by what is seen (Yun et al. 2019)."""

    kind: Literal["cutmix"]
    alpha: NonNegativeFloat = 1.0
    """The share of the other sample is drawn from Beta(alpha, alpha); 0 mixes nothing."""


class Ricap(Way):
    """Four samples' random crops make one picture, a mosaic; targets are mixed by area (Takahashi et al. 2018), and the
    boxes and masks of each crop go with it.
    """

    kind: Literal["ricap"]
    beta: NonNegativeFloat = 0.3
    """Where the four meet is drawn from Beta(beta, beta) along each side; 0 mixes nothing."""


class Mosaic(Way):
    """Four whole pictures around a point, all nearer or farther (Bochkovskiy et al. 2020, as YOLOv5 draws them), and
    the boxes of each; of detection alone. What none of them covers has the mean colour.
    """

    kind: Literal["mosaic"]
    scale: Fraction = 0.5
    """Pictures are scaled by 1 - scale to 1 + scale; 0.9 is that of YOLOv5's larger models."""


class SamplePairing(Way):
    """A share of another sample is blended in, the target stays (Inoue 2018)."""

    kind: Literal["sample_pairing"]
    max_weight: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """The share is drawn from 0 to this. 0.4 is AutoAugment's maximum."""


class CopyPaste(Way):
    """Of instances: about half of the objects of another sample are laid over each (Ghiasi et al. 2021)."""

    kind: Literal["copy_paste"]


class Choose(Mixed):
    """Each group is mixed in one of several ways."""

    kind: Literal["choose"]
    of: list[Annotated[Mixup | CutMix | Ricap | Mosaic | SamplePairing | CopyPaste, Field(discriminator="kind")]]
    """The ways, each with its `probability`: `[{kind: mixup, probability: 0.5}, {kind: cutmix, probability: 0.3}]`.
    What they leave of 1 is the chance to stay unmixed."""

    @field_validator("of")
    @classmethod
    def _a_chance_each(cls, ways: list[Way]) -> list[Way]:
        if not ways:
            raise ValueError("no way to choose from; write mixing: {kind: none} to leave batches unmixed")
        if any(way.until != WHOLE for way in ways):
            raise ValueError("until is of all ways together; write it beside `of`")
        total = sum(way.probability for way in ways)
        if total > 1 + 1e-9:
            raise ValueError(f"the probabilities sum to {total:g}; give each way a `probability`, together at most 1")
        return ways


Mixing = NoMixing | Mixup | CutMix | Ricap | Mosaic | SamplePairing | CopyPaste | Choose


def mixes(mixing: Mixing) -> bool:
    """Tell whether samples are mixed: not with `none`, nor with alpha or beta 0, where every share would be 0 or 1."""
    match mixing:
        case NoMixing() | Mixup(alpha=0) | CutMix(alpha=0) | Ricap(beta=0):
            return False
        case Choose():
            return any(map(mixes, mixing.of))
    return True
