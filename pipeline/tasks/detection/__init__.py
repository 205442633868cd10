"""Detection: the objects of a picture, a box and a class each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from pipeline.decode.limits import BadSample
from pipeline.tasks.base import Answer, Arrays, Drawing, Fields, Headline, Layout, Run, Tally, Task
from pipeline.tasks.detection import fields as objects
from pipeline.tasks.detection.precision import COCO_NAMES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augment.mixing.batch import Drawn
    from augment.rides import Companions, View
    from pipeline.recipe import Recipe
    from pipeline.recipe.evaluate import Evaluate
    from pipeline.shards.dataset import Dataset
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.suited import Facts, Suited

MEMBER = "objects.json"
ANSWER = ("boxes", "score", "kind", "said")
PICTURED = {"said": ANSWER, "true": objects.EACH}
LOSS = "loss."
"""What the parts of the loss are called in an answer."""


@dataclass(frozen=True)
class Detection(Task):
    """Fields as of `fields.py`.

    A model gives named tensors, which its own `losses`, `counts` and `decode` understand; one that `takes_targets` gets
    the fields in training, see `pipeline.training.step`. Answers are `boxes` float
    [n, D, 4] in px of the view, `score` float [n, D], the highest first, `kind` int64 [n, D], -1 in empty places, and
    `said` bool [n, D], whether `evaluate.threshold` is reached: what is not is measured, and not said.
    """

    most_objects: int = 100
    """Of a sample: places in a batch."""
    may_drop: bool = False
    """Whether of a sample with more objects the largest are taken, as `task.max_objects` asks for in training."""
    max_objects: int | None = None
    """The recipe's limit of them in training."""
    max_detections: int = 100
    """Answers a picture of an exported file, as `evaluate.max_detections` says."""

    learned: ClassVar[tuple[str, ...]] = objects.EACH
    """The fields that a model's loss is made of."""
    headline = Headline("AP", "AP")
    measures: ClassVar = {
        "loss": "{:.4g}",
        **dict.fromkeys((*COCO_NAMES, "VOC07", "VOC12", "F1"), "{:.1%}"),
        "threshold": "{:.2f}",
    }
    unjudged = frozenset({"threshold"})
    in_training = ("loss",)
    columns: ClassVar = {"boxes": "list of list of double", "labels": "list of string", "scores": "list of double"}
    needs = frozenset({MEMBER})
    rides = frozenset({"boxes"})
    by_rows = True
    judged_by = ("F1 of a picture", "{:.1%}")
    any_size = True

    @classmethod
    def of(cls, recipe: "Recipe", classes: tuple[str, ...]) -> "Detection":
        """Make the task that a recipe asks for."""
        return cls(classes, max_objects=getattr(recipe.task, "max_objects", None))

    @classmethod
    def suited(cls, facts: "Facts") -> "Suited":
        """Choose an SSD."""
        from pipeline.tasks.detection.suited import suited

        return suited(facts)

    def sized(self, dataset: "Dataset", training: bool) -> "Detection":
        """Make room for the most objects of a sample that the data have."""
        most = max(dataset.most_objects.values(), default=self.most_objects)
        if training and self.max_objects is not None and self.max_objects < most:
            return replace(self, most_objects=self.max_objects, may_drop=True)
        return replace(self, most_objects=max(most, 1))

    def layout(self, height: int, width: int) -> Layout:
        """Name the objects' boxes and classes, with room for the most of a sample."""
        return objects.layout(self.most_objects)

    def companions(self, raw: "RawSample") -> "Companions":
        """Read the boxes."""
        from augment.rides import Companions

        boxes = raw.companion(MEMBER).boxes
        if len(boxes) > self.most_objects and not self.may_drop:
            raise BadSample(
                f"it has {len(boxes)} objects, and batches of these tars have room for {self.most_objects}: shard them "
                "anew from their source, which counts them"
            )
        return Companions(boxes=boxes)

    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write the objects that the view still shows."""
        assert view is not None
        objects.put(fields, i, raw.companion(MEMBER), view, (raw.height, raw.width))

    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Move boxes as pixels are pasted; blended pictures have the objects of both."""
        return objects.mixed(fields, drawn)

    def resized(self, fields: Fields, size: tuple[int, ...], to: tuple[int, ...]) -> Fields:
        """Scale the boxes, and what a px stands for."""
        return objects.resized(fields, size, to)

    def count(
        self, model: "nn.Module", size: tuple[int, ...], fields: Fields, weights: "Tensor"
    ) -> "dict[str, Tensor]":
        """Count what the model's own parts are divided by."""
        of_layers = [(model.counts(one, size), share * weights) for one, share in objects.layers(fields)]  # type: ignore[operator]
        return objects.summed(of_layers)

    def losses(
        self, model: "nn.Module", out: Any, fields: Fields, weights: "Tensor", class_weights: "Tensor | None"
    ) -> "dict[str, Tensor]":
        """Compute the model's own parts. Each output takes part, used or not, so that every weight has a gradient."""
        unused = sum(head.float().sum() * 0 for head in out.values() if head.requires_grad)
        of_layers = [(model.losses(out, one), share * weights) for one, share in objects.layers(fields)]  # type: ignore[operator]
        return {name: part + unused for name, part in objects.summed(of_layers).items()}

    def answer(self, out: Any) -> Answer:
        """Return named tensors as they are: what objects they mean is the model's to say, see `infer`."""
        return out

    def answering(self, how: "Evaluate") -> Self:
        """Answer as many places as are looked for."""
        return replace(self, max_detections=how.max_detections)

    def exported(self, model: "nn.Module", x: "Tensor") -> Answer:
        """Find objects in whole pictures, boxes in px of the view."""
        found: Answer = model.decode(model(x), x.shape[2:], self.max_detections)  # type: ignore[operator]
        return found

    def infer(self, run: Run, arrays: Arrays) -> Answer:
        """Find objects as `evaluate` says. Where the truth is known, the parts of the loss are in the answer, too.

        ZoetropeError for a threshold of a class that there is not.
        """
        import torch

        from pipeline.tasks.detection.infer import find, looks
        from pipeline.tasks.detection.thresholds import USUAL, thresholds

        pixels, look = arrays["pixels"][:, 0], looks(run.how)
        least = torch.tensor([*thresholds(run.how.threshold if run.how else USUAL, self.classes), torch.inf])
        known = look.plain and "kind" in arrays
        found: list[Answer] = []
        for cut in run.parts(len(pixels)):
            inputs = run.inputs({"pixels": pixels[cut]})
            heads: list[Any] = []

            def once(x: "Tensor", inputs: Any = inputs, heads: list[Any] = heads) -> Any:
                heads.append(run({**inputs, "pixels": x}))
                with torch.no_grad():  # masks are made of the maps there
                    return run.model.decode(heads[-1], x.shape[2:], look.most)  # type: ignore[operator]

            one = find(once, inputs["pixels"], look)
            one |= {"said": one["score"] >= least.to(one["score"])[one["kind"]]}
            if known:
                device = inputs["pixels"].device
                fields = {name: torch.from_numpy(arrays[name][cut]).to(device) for name in self.learned}
                with torch.no_grad():
                    one |= _losses(run.model, heads[-1], fields, inputs["pixels"].shape[2:])
            found.append(one)
        return {name: torch.cat([one[name] for one in found]) for name in found[0]}

    def together(self, answers: Sequence[Answer]) -> Answer:
        """Join the lists: of boxes of one class that overlap, the highest score stays."""
        from pipeline.tasks.detection.infer import Options, merged

        losses = [{name: value for name, value in answer.items() if name.startswith(LOSS)} for answer in answers]
        most = answers[0]["score"].shape[1]
        return {**merged(answers, most, Options().overlap), **super().together(losses)}

    def sums(self, answer: Answer, fields: Fields, weights: "Tensor", training: bool = False) -> "Tensor":
        """Sum the loss, objects by class and size of those that count, and samples."""
        import torch

        from pipeline.tasks.detection.match import count_objects

        parts = [value.double() for name, value in answer.items() if name.startswith(LOSS)]
        loss = (sum(parts, weights.new_zeros((), dtype=torch.float64)) * weights).sum()
        if training:
            return torch.stack([loss, weights.double().sum()])
        counts = [count_objects(truth, len(self.classes)) for truth in _pictures(fields, objects.EACH)]
        there = weights.double()[:, None] * torch.from_numpy(np.stack(counts)).to(weights.device).flatten(1)
        return torch.cat([loss[None], there.sum(0), weights.double().sum()[None]])

    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Match each picture's answers with its objects, see `match.py`."""
        import torch

        from pipeline.tasks.detection.match import match

        unit = fields["unit"].clamp(min=1e-9)[:, None, None]
        truths = _pictures({**fields, "boxes": fields["boxes"] * unit}, objects.EACH)
        answers = _pictures({**answer, "boxes": answer["boxes"] * unit}, ANSWER)
        rows = [match(*pair, most=answer["score"].shape[1]) for pair in zip(answers, truths, strict=True)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def metrics(self, tally: Tally) -> dict[str, float]:
        """Compute `loss`, the sum of its parts, the mean over pictures; of rows COCO's twelve figures."""
        from pipeline.tasks.detection.precision import accumulate, coco_numbers

        loss = {"loss": float(tally.sums[0] / tally.sums[-1])}
        return loss | coco_numbers(accumulate(tally.rows, self._objects(tally))) if tally.rows else loss

    def certainty(self, rows: Arrays) -> np.ndarray:
        """Take F1 of each picture, of the answers that are said: at an IoU of one half."""
        from pipeline.tasks.detection.match import unpacked

        said = rows["said"] & ~unpacked(rows["ignored"])
        right = (said & unpacked(rows["matched"])).sum(1)
        return np.where(said.sum(1) + rows["objects"], 2 * right / np.maximum(said.sum(1) + rows["objects"], 1), 1.0)

    def pictured(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Return the boxes of the answer and of the objects."""
        said = {f"said_{name}": answer[name] for name in ANSWER}
        return said | {f"true_{name}": fields[name] for name in objects.EACH}

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """Draw the objects' boxes, with names."""
        from pipeline.tasks.detection.draw import truth

        return truth(pixels, fields, self.classes)

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Draw answers that are right, answers that are wrong and objects that are missed."""
        from pipeline.tasks.detection.draw import compared

        words = self.words(row)
        if "said_kind" not in row:
            return Drawing(pixels, words, bool(self.certainty({name: row[name][None] for name in row})[0] == 1))
        said, true = ({name: row[f"{whose}_{name}"] for name in names} for whose, names in PICTURED.items())
        drawing = compared(pixels, self._said(said), true, self.classes)
        return drawing._replace(words=f"{words}\n{drawing.words}")

    def restored(self, answer: Answer, frame: "Tensor", size: tuple[int, int]) -> Answer:
        """Bring boxes back to the px of the file."""
        from pipeline.tasks.detection.infer import restored

        return {**answer, "boxes": restored(answer["boxes"], frame, size)}

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Return the boxes of what is said, x0, y0, x1, y1 in px of the file, names and scores; the best first."""
        there = self._said(answer)["kind"] >= 0
        return {
            "boxes": [[round(edge, 2) for edge in box] for box in answer["boxes"][there].tolist()],
            "labels": [self.classes[kind] for kind in answer["kind"][there]],
            "scores": answer["score"][there].tolist(),
        }

    def words(self, answer: Arrays) -> str:
        """Count the objects of the most frequent classes."""
        from pipeline.tasks.detection.draw import counted_words

        kind = self._said(answer)["kind"]
        return counted_words(kind[kind >= 0], self.classes)

    def drawn(self, pixels: np.ndarray, answer: Arrays) -> Drawing:
        """Draw what is said."""
        from pipeline.tasks.detection.draw import said

        return said(pixels, self._said(answer), self.classes)

    def remarks(self, tally: Tally) -> list[str]:
        """Name the classes and sizes that the split lacks."""
        from pipeline.tasks.detection.precision import unmeasured

        return unmeasured(self._objects(tally), self.classes)

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Write tables of classes and pictures, curves, sizes, errors and confusions."""
        from pipeline.tasks.detection.report import write_report

        return write_report(folder, self.classes, keys, tally.rows, self._objects(tally))

    def _objects(self, tally: Tally) -> np.ndarray:
        """Return objects that count by class and size, int64 [K, 4]."""
        return tally.sums[1:-1].reshape(len(self.classes), -1).astype(np.int64)

    def _said(self, answer: Arrays) -> dict[str, np.ndarray]:
        """Empty the places of answers that are not said."""
        return {**answer, "kind": np.where(answer["said"], answer["kind"], objects.EMPTY)}


def _losses(model: "nn.Module", heads: Any, fields: Fields, size: tuple[int, ...]) -> Answer:
    """Compute each picture's parts of the loss over its own counts, float [n] by name."""
    counts = model.counts(fields, size)  # type: ignore[operator]
    parts = model.losses(heads, fields)  # type: ignore[operator]
    return {LOSS + name: part / counts[name].clamp(min=1) for name, part in parts.items()}


def _pictures(fields: Fields, names: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Return some of the fields [n, ...] of each picture, on the CPU."""
    columns = {name: fields[name].float().cpu().numpy() for name in names}
    columns["kind"] = fields["kind"].cpu().numpy().astype(np.int64)
    return [{name: column[i] for name, column in columns.items()} for i in range(len(columns["kind"]))]
