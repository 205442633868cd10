"""Segmentation: a class a pixel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.decode.values import IGNORED
from pipeline.tasks.base import Answer, Arrays, Drawing, Fields, Headline, Layout, Run, Tally, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augment.mixing.batch import Drawn
    from augment.rides import Companions, View
    from pipeline.recipe import Recipe
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.segmentation.losses import Truth
    from pipeline.tasks.suited import Facts, Suited

NAMED = 3
"""Classes that stand in a line about a picture."""


@dataclass(frozen=True)
class Segmentation(Task):
    """Field `mask` uint8 [n, H, W], or of blended pictures [n, M, H, W] with `share` float [n, M]; 255 is ignored.

    A model gives logits [n, K, H, W]; answers are `scores` [n, K, H, W], probabilities. With border weights there is a
    field `border` uint8 [n, H, W], see `border.py`. Where a model gives fewer pixels than it takes (`margin_px` a
    side), it is the fields' middle that it learns.
    """

    terms: Mapping[str, float] = field(default_factory=lambda: {"cross_entropy": 1.0})
    label_smoothing: float = 0.0
    border: bool = False
    """Whether the pixels between instances count more."""
    stride: int = 1
    """In training, of every so many pixels of a row and a column one is learned."""
    margin_px: int = 0
    fit: Callable[[int], int] = int
    """The next larger side in px that the model takes."""

    headline = Headline("mIoU", "mIoU")
    measures: ClassVar = {
        "loss": "{:.4g}",
        **dict.fromkeys(("mIoU", "pixel_accuracy", "class_accuracy", "weighted_iou", "dice", "boundary_f1"), "{:.1%}"),
    }
    in_training = ("loss", "mIoU", "pixel_accuracy")
    columns: ClassVar = {"mask": "binary", "classes": "list of string", "shares": "list of double"}
    suffixes: ClassVar = {"mask": ".png"}
    rides = frozenset({"mask"})
    judged_by = ("IoU of a picture", "{:.1%}")
    any_size = True

    @classmethod
    def of(cls, recipe: "Recipe", classes: tuple[str, ...]) -> "Segmentation":
        """Make the task that a recipe asks for."""
        loss = recipe.loss
        return cls(
            classes,
            loss.terms or {"cross_entropy": 1.0},
            loss.label_smoothing,
            loss.border,
            loss.stride,
            recipe.model.margin_px,
            recipe.model.valid_side,
        )

    @classmethod
    def suited(cls, facts: "Facts") -> "Suited":
        """Choose a U-Net."""
        from pipeline.tasks.segmentation.suited import suited

        return suited(facts)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # what the loss asks for decides
        """A mask, and instances where borders between them have weights."""
        return frozenset({"seg.png", "inst.png"} if self.border else {"seg.png"})

    def layout(self, height: int, width: int) -> Layout:
        """Name a class a pixel, and a weight."""
        each = (np.dtype(np.uint8), (height, width))
        return {"mask": each, "border": each} if self.border else {"mask": each}

    def companions(self, raw: "RawSample") -> "Companions":
        """Read the mask; with border weights uint16, which are the upper byte: they move as the mask does.

        They are computed of the stored picture, since a crop does not show the instances beside it.
        """
        from augment.rides import Companions
        from pipeline.tasks.segmentation.border import LARGEST, border_weights

        mask = raw.companion("seg.png")
        if not self.border:
            return Companions(mask=mask)
        weights = border_weights(raw.companion("inst.png")) * (255 / LARGEST)
        return Companions(mask=mask.astype(np.uint16) | np.rint(weights).astype(np.uint16) << 8)

    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write the moved mask."""
        assert view is not None
        assert view.mask is not None
        fields["mask"][i] = view.mask & 255
        if self.border:
            fields["border"][i] = view.mask >> 8

    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Paste masks as pixels were; of blended pictures each mask is learned, by its share."""
        import torch

        from augment.mixing.patches import paste

        pasted = {
            name: torch.cat([paste(column[place], draw.shifts, draw.patches) for place, draw in drawn.groups])
            for name, column in fields.items()
        }
        if all(draw.patches or len(draw.shifts) == 1 for _, draw in drawn.groups):
            return pasted
        index, share = drawn.index.clone(), drawn.weights.clone()
        for place, draw in drawn.groups:
            if draw.patches:  # one mask already
                share[place] = 0
                share[place, 0] = 1
                index[place] = torch.arange(place.start, place.stop, device=index.device)[:, None]
        return {name: column[index] for name, column in pasted.items()} | {"share": share}

    def count(
        self, model: "nn.Module", size: tuple[int, ...], fields: Fields, weights: "Tensor"
    ) -> "dict[str, Tensor]":
        """Count the learned pixels that are not ignored, for the terms that count pixels."""
        from pipeline.tasks.segmentation.losses import counts

        return counts(self.terms, self._truths(fields, self.margin_px, self.stride), weights)

    def losses(
        self, model: "nn.Module", out: "Tensor", fields: Fields, weights: "Tensor", class_weights: "Tensor | None"
    ) -> "dict[str, Tensor]":
        """Compute the recipe's terms, each times its weight."""
        from pipeline.tasks.segmentation.losses import losses

        learned, truths = out[..., :: self.stride, :: self.stride], self._truths(fields, self.margin_px, self.stride)
        return losses(self.terms, learned, truths, weights, class_weights, self.label_smoothing)

    def distance(self, out: "Tensor", taught: "Tensor", temperature: float) -> "Tensor":
        """Measure it between the distributions over classes, the mean over pixels."""
        from pipeline.tasks.segmentation.losses import distance

        return distance(out, taught, temperature)

    def answer(self, out: "Tensor") -> Answer:
        """Turn logits into probabilities, which add up to 1 in each pixel."""
        return {"scores": out.float().softmax(1)}

    def exported(self, model: "nn.Module", x: "Tensor") -> Answer:
        """Answer pictures as a whole, mirrored at their borders where the model needs that."""
        from pipeline.tasks.segmentation.infer import whole

        return {"scores": whole(model, x, self.margin_px, self.fit)}

    def infer(self, run: Run, arrays: Arrays) -> Answer:
        """Infer as `evaluate` says: whole or in tiles, at several scales, mirrored too, refined by a CRF."""
        import torch

        from pipeline.tasks.segmentation.infer import Options, probabilities

        pixels, how = arrays["pixels"][:, 0], run.how
        options = Options(margin_px=self.margin_px, fit=self.fit)
        if how is not None:
            options = replace(options, tile_px=how.tile, overlap_px=how.overlap, scales=how.scales, flip=how.flip)
        inputs = (run.inputs({"pixels": pixels[cut]})["pixels"] for cut in run.parts(len(pixels)))
        scores = torch.cat([probabilities(lambda x: run({"pixels": x}), x, options) for x in inputs])
        if how is not None and how.crf is not None:
            from pipeline.tasks.segmentation.crf import refine

            refined = [refine(*one, how.crf) for one in zip(scores.cpu().numpy(), pixels, strict=True)]
            scores = torch.from_numpy(np.stack(refined)).to(scores.device)
        return {"scores": scores}

    def sums(self, answer: Answer, fields: Fields, weights: "Tensor", training: bool = False) -> "Tensor":
        """Add up the loss, a confusion matrix [K, K] of pixels, and samples."""
        import torch

        from pipeline.tasks.segmentation.measure import confusions, nats, sums

        scores = answer["scores"]
        said, total = scores.argmax(1), torch.zeros((), dtype=torch.float64, device=scores.device)
        for mask, share, _ in self._truths(fields, self._margin(scores, fields)):
            found = confusions(said, mask, len(self.classes))
            total = total + sums(nats(scores, mask), found, weights * share)
        return total

    def _margin(self, scores: "Tensor", fields: Fields) -> int:
        """Return what answers lack at each side of the masks: nothing where pictures were answered as a whole."""
        return 0 if scores.shape[-2:] == fields["mask"].shape[-2:] else self.margin_px

    def _truths(self, fields: Fields, margin: int, stride: int = 1) -> "list[Truth]":
        """Return every `stride`-th pixel of masks without a margin, and weights of pixels; several where pictures are
        blended.
        """
        from pipeline.tasks.segmentation.border import LARGEST
        from pipeline.tasks.segmentation.losses import Truth

        masks, *border = (
            fields[name][
                ...,
                margin : fields[name].shape[-2] - margin : stride,
                margin : fields[name].shape[-1] - margin : stride,
            ]
            for name in ("mask", "border")
            if name in fields
        )
        areas = 1 + border[0].float() * (LARGEST / 255) if border else None
        if "share" not in fields:
            return [Truth(masks, 1.0, areas)]
        return [
            Truth(masks[:, m], fields["share"][:, m], None if areas is None else areas[:, m])
            for m in range(masks.shape[1])
        ]

    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """IoU and accuracy of each picture, its pixels of each class, and how well their boundaries are met."""
        import torch

        from pipeline.tasks.segmentation.boundary import boundary_f1
        from pipeline.tasks.segmentation.measure import confusions, sample_ious

        scores = answer["scores"]
        said, mask = scores.argmax(1), self._truths(fields, self._margin(scores, fields))[0].mask
        found = confusions(said, mask, len(self.classes))
        pairs = zip(said.byte().cpu().numpy(), mask.cpu().numpy(), strict=True)
        outlines = np.stack([boundary_f1(*pair, len(self.classes)) for pair in pairs])
        hits, known = found.diagonal(dim1=1, dim2=2).sum(1), found.sum((1, 2))
        return {
            "iou": sample_ious(found),
            "accuracy": hits / known.clamp_min(1),
            "pixels": found.sum(2),
            "boundary_f1": torch.from_numpy(outlines),
        }

    def metrics(self, tally: Tally) -> dict[str, float]:
        """`loss` in nats a pixel, the mean over pictures, and figures of pixels, see `measure.metrics`."""
        from pipeline.tasks.segmentation.measure import metrics

        return metrics(tally.sums)

    def certainty(self, rows: Arrays) -> np.ndarray:
        """Take the IoU of the picture."""
        return rows["iou"]

    def shown(self, rows: Arrays) -> dict[str, np.ndarray]:
        """Add the most confused pictures: those of which the largest share of pixels is wrong."""
        return {**super().shown(rows), "most_confused": rows["accuracy"]}

    def pictured(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Return the mask, and what the model says."""
        return {"said": answer["scores"].argmax(1).to(fields["mask"].dtype), "true": fields["mask"]}

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """With its mask laid over and its largest classes."""
        mask = fields["mask"] if fields["mask"].ndim == 2 else fields["mask"][fields["share"].argmax()]
        return Drawing(self._laid(pixels, mask), self._words(self._counts(mask)))

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Beside each other the mask and the answer, laid over; green from an IoU of one half on."""
        words = f"IoU {row['iou']:.2f}\n{self._words(row['pixels'])}"
        if "said" in row:
            said = np.where(row["true"] == IGNORED, IGNORED, row["said"]).astype(np.uint8)
            pair = [self._laid(pixels, mask) for mask in (row["true"], said)]
            pixels = np.concatenate(pair, axis=1 if pixels.shape[0] >= pixels.shape[1] else 0)
        return Drawing(pixels, words, bool(row["iou"] >= 0.5))

    def restored(self, answer: Answer, frame: "Tensor", size: tuple[int, int]) -> Answer:
        """Choose a class for each px of the file, uint8 [1, H, W], by the probabilities between those of the view.

        255 where the model saw nothing, as beside a crop.
        """
        from pipeline.tasks.segmentation.restore import restored

        return {"mask": restored(answer["scores"], frame, size)}

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Encode the mask as a PNG of class numbers at the file's size; names of classes, and their shares."""
        from pipeline.decode.masks import encode_mask

        counts = self._counts(answer["mask"])
        shares = (counts / max(int(counts.sum()), 1)).tolist()
        return {"mask": encode_mask(answer["mask"]), "classes": list(self.classes), "shares": shares}

    def words(self, answer: Arrays) -> str:
        """Name the largest classes and their shares."""
        return self._words(self._counts(answer["mask"]))

    def drawn(self, pixels: np.ndarray, answer: Arrays) -> Drawing:
        """Lay the answer over, and name its largest classes."""
        return Drawing(self._laid(pixels, answer["mask"]), self.words(answer))

    def remarks(self, tally: Tally) -> list[str]:
        """Name the classes that the split lacks."""
        from pipeline.tasks.segmentation.measure import absent, confusion_of

        names = absent(confusion_of(tally.sums), self.classes)
        return [f"means leave out what the split lacks: {', '.join(names)}"] if names else []

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Tables of classes, of confusions by pixels and of pictures, and the confusion matrix."""
        from pipeline.tasks.segmentation.report import write_report

        return write_report(folder, self.classes, keys, tally)

    def _laid(self, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
        from pipeline.figures.overlay import overlay, palette

        k = len(self.classes)
        colours = palette(k) if self.classes[0].lower() == "background" else palette(k + 1)[1:]
        return overlay(pixels, mask, colours)

    def _counts(self, mask: np.ndarray) -> np.ndarray:
        """Count the pixels of each class, int64 [K]."""
        return np.bincount(mask.reshape(-1), minlength=256)[: len(self.classes)]

    def _words(self, counts: np.ndarray) -> str:
        """Name the largest classes of a picture, of their pixels [K]."""
        order = [i for i in np.argsort(-counts, kind="stable")[:NAMED] if counts[i]]
        total = max(int(counts.sum()), 1)
        return ", ".join(f"{self.classes[i]} {counts[i] / total:.0%}" for i in order) or "nothing"
