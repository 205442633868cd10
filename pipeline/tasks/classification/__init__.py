"""Classification: one label a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.figures.drawing import Drawing
from pipeline.tasks.base import TOP, Answer, Arrays, Fields, Headline, Judged, Layout, Tally, Task, top_classes
from pipeline.tasks.suited import Facts, Suited, classifier

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augment.mixing.batch import Drawn
    from augment.rides import View
    from pipeline.recipe import Recipe
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.calibration import Calibration


@dataclass(frozen=True)
class Classification(Task):
    """Field `label` int64 [n], or mixed float [n, K]; a model gives logits [n, K]; answers are `scores` [n, K]."""

    label_smoothing: float = 0.0

    headline = Headline("top1", "top-1")
    measures: ClassVar = {"loss": "{:.4g}", "top1": "{:.1%}", "top5": "{:.1%}"}
    in_training = ("loss", "top1")
    columns: ClassVar = {"label": "string", "score": "double"}
    ranked: ClassVar = TOP
    has_temperature = True

    @classmethod
    def of(cls, recipe: "Recipe", classes: tuple[str, ...]) -> "Classification":
        """Make the task as a recipe says."""
        return cls(classes, recipe.loss.label_smoothing)

    @classmethod
    def suited(cls, facts: Facts) -> Suited:
        """Choose a ResNet, with label smoothing."""
        return classifier(facts, smoothing=0.1)

    def layout(self, height: int, width: int) -> Layout:
        """Name one field: a class number."""
        return {"label": (np.dtype(np.int64), ())}

    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write the sample's class number."""
        fields["label"][i] = raw.label

    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Compute float [n, K]: each class' share in the mixed samples."""
        from augment.mixing.base import soft_targets

        return {"label": soft_targets(fields["label"], drawn.index, drawn.weights, len(self.classes))}

    def losses(
        self,
        model: "nn.Module",
        out: "Tensor",
        fields: Fields,
        weights: "Tensor",
        class_weights: "Tensor | None",
    ) -> "dict[str, Tensor]":
        """Compute cross-entropy with label smoothing."""
        from pipeline.tasks.classification.loss import cross_entropy

        return {"loss": cross_entropy(out, fields["label"], weights, self.label_smoothing, class_weights)}

    def distance(self, out: "Tensor", taught: "Tensor", temperature: float) -> "Tensor":
        """Measure the distance of the two distributions over classes."""
        from pipeline.tasks.classification.loss import divergence

        return divergence(out, taught, temperature)

    def answer(self, out: "Tensor") -> Answer:
        """Compute probabilities, which add up to 1."""
        return {"scores": out.float().softmax(-1)}

    def sums(self, answer: Answer, fields: Fields, weights: "Tensor", training: bool = False) -> "Tensor":
        """Sum loss, hits, the most that they can be, and samples."""
        from pipeline.tasks.classification.measure import sums

        return sums(answer["scores"], fields["label"], weights)

    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Return scores and the label."""
        return {"scores": answer["scores"], "label": fields["label"]}

    def metrics(self, tally: Tally) -> dict[str, float]:
        """Compute `loss` in nats, the mean; `top1` and `top5` as shares of what can be met.

        Of five classes or fewer there is no `top5`, which could be nothing but 1. Of samples with one label what can be
        met is every sample; so accuracies with and without mixing can be compared.
        """
        loss, top1, top5, most1, most5, samples = (float(value) for value in tally.sums)
        shares = [met / most if most else 0.0 for met, most in ((top1, most1), (top5, most5))]
        measured = dict(zip(self.measures, (loss / max(samples, 1.0), *shares), strict=True))
        return {name: value for name, value in measured.items() if name != "top5" or not 0 < len(self.classes) <= 5}

    def certainty(self, rows: Arrays) -> np.ndarray:
        """Return the probability of the true class."""
        return rows["scores"][np.arange(len(rows["label"])), rows["label"]]

    def judged(self, rows: Arrays) -> Judged:
        """Judge by whether the best class is the true one; of those that are not, the surest first."""
        best, labels = rows["scores"].argmax(1), rows["label"]
        wrongness = np.where(best == labels, -np.inf, rows["scores"].max(1))
        names = ([self.classes[k] for k in numbers] for numbers in (labels, best))
        return Judged("top-1", "{:.1%}", (best == labels).astype(float), wrongness, *names)

    def calibration(self, rows: Arrays, fitted_on: Arrays | None = None) -> "Calibration":
        """Judge the probability of the best class."""
        from pipeline.tasks.calibration import of_classes

        return of_classes(
            rows["scores"], rows["label"], (fitted_on["scores"], fitted_on["label"]) if fitted_on else None
        )

    def doubts(self, rows: Arrays) -> np.ndarray:
        """Take how much more probable another class is than the label's.

        The normalised margin of Northcutt et al. 2021, "Confident learning", section 3.2, with its sign changed.
        """
        own = self.certainty(rows)
        others = rows["scores"].copy()
        others[np.arange(len(own)), rows["label"]] = -np.inf
        return np.asarray(others.max(1) - own)

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """Draw it with the name of its class."""
        return Drawing(pixels, self.classes[int(fields["label"])])

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Draw it with the best class and its probability."""
        best, true = int(row["scores"].argmax()), int(row["label"])
        words = self.words(row)
        return Drawing(pixels, words if best == true else f"{words}\nis {self.classes[true]}", best == true)

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Return the best class and its probability; the `top` classes."""
        scores = answer["scores"]
        best = int(scores.argmax())
        return {
            "label": self.classes[best],
            "score": float(scores[best]),
            **top_classes(self.classes, scores, top),
        }

    def words(self, answer: Arrays) -> str:
        """Name the best class behind its probability."""
        best = int(answer["scores"].argmax())
        return f"{answer['scores'][best]:.2f} {self.classes[best]}"

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Write tables of classes, of confusions and of predictions, and the confusion matrix."""
        from pipeline.tasks.classification.report import write_report

        write_report(folder, self.classes, keys, tally.rows["label"], tally.rows["scores"])
        return {}
