"""What segmentation learns from: the terms of its loss, by name.

n pictures of H x W px, K classes. A term adds up what it counts, known pixels or samples, and the step divides by the
count of the whole batch. Counts follow from the masks alone, so gradients do not depend on how a batch is cut. Weights
of classes and of pixels multiply what is added up and are no part of the count, as in classification: a known pixel of
a real sample counts 1.

All terms are computed in float32. A picture without a known pixel adds 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.decode.values import IGNORED
from pipeline.tasks.classification.loss import divergence

OHEM_SHARE = 0.25
FOCAL_GAMMA = 2.0
TVERSKY_ALPHA, TVERSKY_BETA = 0.3, 0.7


class Summed(Protocol):
    """The signature of a term's sum."""

    def __call__(
        self,
        logits: Tensor,
        mask: Tensor,
        weights: Tensor,
        class_weights: Tensor | None = None,
        pixel_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Add up a term, float32 [].

        logits float [n, K, H, W]; mask uint8 [n, H, W], 255 where it is not known; weights float [n], 0 for a sample
        that only fills up a rank; class_weights float [K]; pixel_weights float [n, H, W], at least 0.
        """


@dataclass(frozen=True)
class Term:
    """A term: what its sum is divided by, and its sum."""

    counts: Literal["pixels", "samples"]
    sum: Summed


class Truth(NamedTuple):
    """A mask uint8 [n, H, W] with its share float [n] in mixed pictures (mixup has several), and weights of pixels."""

    mask: Tensor
    share: Tensor | float = 1.0
    pixel_weights: Tensor | None = None


def losses(
    terms: Mapping[str, float],
    logits: Tensor,
    truths: Sequence[Truth],
    weights: Tensor,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """Compute the parts of a loss, one a term, each times the term's weight; of several truths the weighted sum."""
    return {
        name: weight
        * torch.stack(
            [
                TERMS[name].sum(logits, mask, weights * share, class_weights, pixel_weights, label_smoothing)
                for mask, share, pixel_weights in truths
            ]
        ).sum()
        for name, weight in terms.items()
    }


def counts(terms: Mapping[str, float], truths: Sequence[Truth], weights: Tensor) -> dict[str, Tensor]:
    """Count what the parts of `losses` are divided by, float64 []; parts that count samples are left out."""
    pixels = torch.stack([(known_pixels(mask) * weights * share).double().sum() for mask, share, _ in truths]).sum()
    return {name: pixels for name in terms if TERMS[name].counts == "pixels"}


def known_pixels(mask: Tensor) -> Tensor:
    """int64 [n]: the pixels of each picture that are not ignored."""
    return (mask != IGNORED).sum((1, 2))


def cross_entropy(
    logits: Tensor,
    mask: Tensor,
    weights: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Add up cross-entropy over known pixels, with label smoothing in the eps/K form as in classification."""
    each = _cross_entropies(logits, mask, class_weights, pixel_weights, label_smoothing)
    return (each.sum((1, 2)) * weights).sum()


def ohem(
    logits: Tensor,
    mask: Tensor,
    weights: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Add up cross-entropy of the hardest pixels (online hard example mining, Shrivastava et al. 2016).

    Of each picture's known pixels the `OHEM_SHARE` with the largest weighted loss is kept, rounded up. A kept pixel
    counts known / kept times, so that the mean over all known pixels is that over the kept ones. A threshold on the
    probability, as others have it, would let the count depend on the model.
    """
    each = _cross_entropies(logits, mask, class_weights, pixel_weights, label_smoothing).flatten(1)
    known = known_pixels(mask)
    kept = (known * OHEM_SHARE).ceil()
    most = ceil(each.shape[1] * OHEM_SHARE)
    hardest = each.topk(most, 1).values
    is_kept = torch.arange(most, device=each.device) < kept[:, None]
    return ((hardest * is_kept).sum(1) * known / kept.clamp_min(1) * weights).sum()


def focal(
    logits: Tensor,
    mask: Tensor,
    weights: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Add up -w (1 - p)^gamma log p over known pixels, p of the true class (Lin et al. 2017, equation 5).

    The weight of the class is the paper's alpha. Labels are not smoothed: the paper has no such form.
    """
    each = _cross_entropies(logits, mask, None, pixel_weights=None, label_smoothing=0.0)
    each = each * (1 - (-each).exp()) ** FOCAL_GAMMA
    if class_weights is not None:
        each = each * class_weights[mask.long().clamp(max=len(class_weights) - 1)]
    if pixel_weights is not None:
        each = each * pixel_weights
    return (each.sum((1, 2)) * weights).sum()


def tversky(
    logits: Tensor,
    mask: Tensor,
    weights: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    alpha: float = TVERSKY_ALPHA,
    beta: float = TVERSKY_BETA,
) -> Tensor:
    """Add up 1 - TP / (TP + alpha FP + beta FN), the mean over the classes that are in a picture, over pictures.

    Salehi, Erdogmus and Gholipour 2017, equation 4, of probabilities. alpha = beta = 1/2 is Dice, alpha = beta = 1 is
    Jaccard. Labels are not smoothed.
    """
    said, true, area = _regions(logits, mask, pixel_weights)
    both = (said * true * area).sum(-1)
    only_said = (said * ~true * area).sum(-1)
    size = (true * area).sum(-1)
    present = size > 0
    either = both + alpha * only_said + beta * (size - both)
    index = both / torch.where(present, either, 1.0)
    return ((1 - index) * _shares(present, weights, class_weights)).sum()


def lovasz(
    logits: Tensor,
    mask: Tensor,
    weights: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Add up Lovasz-softmax, the mean over the classes that are in a picture, over pictures.

    Berman, Triki and Blaschko 2018, section 3 and algorithm 1: errors m sorted downwards, times the differences of
    the Jaccard loss as these pixels, one after the other, are taken for wrong. Weights of pixels are their areas in
    the Jaccard loss; an ignored pixel has none. Labels are not smoothed.
    """
    said, true, area = _regions(logits, mask, pixel_weights)
    present = (true * area).sum(-1) > 0
    # The pairs of a picture and a class that is in it, [pairs, P]: sorting is what costs, and most classes are absent.
    hits = true[present]
    errors, order = (hits.float() - said[present]).abs().sort(1, descending=True)
    hits, areas = hits.gather(1, order), area.expand_as(said)[present].gather(1, order)
    size = (hits * areas).sum(1, keepdim=True)
    lost, added = (hits * areas).cumsum(1), (~hits * areas).cumsum(1)
    jaccard = 1 - (size - lost) / (size + added)
    gradient = torch.diff(jaccard, dim=1, prepend=torch.zeros_like(size))
    return ((errors * gradient).sum(1) * _shares(present, weights, class_weights)[present]).sum()


TERMS: dict[str, Term] = {
    "cross_entropy": Term("pixels", cross_entropy),
    "ohem": Term("pixels", ohem),
    "focal": Term("pixels", focal),
    "dice": Term("samples", partial(tversky, alpha=0.5, beta=0.5)),
    "jaccard": Term("samples", partial(tversky, alpha=1.0, beta=1.0)),
    "tversky": Term("samples", tversky),
    "lovasz": Term("samples", lovasz),
}
"""By the names of a recipe's `loss.terms`."""


def distance(out: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """float [n]: T^2 * KL divergence of the classes at each pixel, the mean over pixels, of logits [n, K, H, W].

    Ignored pixels are among them: what a teacher says needs no truth.
    """
    return divergence(out, taught, temperature).mean((1, 2))


def _cross_entropies(
    logits: Tensor,
    mask: Tensor,
    class_weights: Tensor | None,
    pixel_weights: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """float32 [n, H, W], weighted; 0 where the class is not known."""
    each = functional.cross_entropy(
        logits.float(),
        mask.long(),
        class_weights,
        ignore_index=IGNORED,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return each if pixel_weights is None else each * pixel_weights


def _regions(logits: Tensor, mask: Tensor, pixel_weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities float32 [n, K, P], whether it is that class bool [n, K, P], and areas of pixels float32 [n, 1, P].

    P = H * W. The area is a pixel's weight, 0 where the class is not known.
    """
    said = logits.float().softmax(1).flatten(2)
    flat = mask.flatten(1)[:, None]
    true = flat == torch.arange(said.shape[1], device=flat.device)[:, None]
    area = (flat != IGNORED).float()
    return said, true, area if pixel_weights is None else area * pixel_weights.flatten(1)[:, None]


def _shares(present: Tensor, weights: Tensor, class_weights: Tensor | None) -> Tensor:
    """float32 [n, K]: how much each class counts in its picture, for `present` bool [n, K]."""
    shares = present / present.sum(1, keepdim=True).clamp_min(1) * weights[:, None]
    return shares if class_weights is None else shares * class_weights
