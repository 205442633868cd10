"""Multi-label classification: a sample has any number of labels, each class is a question of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.figures.drawing import Drawing
from pipeline.tasks.base import TOP, Answer, Arrays, Fields, Headline, Judged, Layout, Tally, Task, top_classes
from pipeline.tasks.multilabel.measure import PREDICTED_FROM, metrics, named, sums
from pipeline.tasks.suited import Facts, Suited, classifier

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augment.mixing.batch import Drawn
    from augment.rides import View
    from pipeline.recipe import Recipe
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.calibration import Calibration


@dataclass(frozen=True)
class Multilabel(Task):
    """Field `hot` uint8 [n, K], or mixed float; a model gives logits [n, K]; answers are `scores` [n, K].

    The loss is binary cross-entropy (a sigmoid a class), the mean over classes; the metrics are mAP and micro-averaged
    F1 of what scores `PREDICTED_FROM` or more.
    """

    label_smoothing: float = 0.0

    headline = Headline("mAP", "mAP")
    measures: ClassVar = {"loss": "{:.4g}", "f1": "{:.1%}", "mAP": "{:.1%}"}
    in_training = ("loss", "f1")
    columns: ClassVar = {"labels": "list of string", "scores": "list of double"}
    ranked: ClassVar = TOP

    @classmethod
    def of(cls, recipe: "Recipe", classes: tuple[str, ...]) -> "Multilabel":
        """Make the task as a recipe says."""
        return cls(classes, recipe.loss.label_smoothing)

    @classmethod
    def suited(cls, facts: Facts) -> Suited:
        """Choose a ResNet, as one label a sample has."""
        return classifier(facts, smoothing=0.0)

    def layout(self, height: int, width: int) -> Layout:
        """Write 1 for each class that the sample has, else 0."""
        return {"hot": (np.dtype(np.uint8), (len(self.classes),))}

    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write the sample's set of class numbers."""
        fields["hot"][i] = 0
        fields["hot"][i, list(raw.label) if isinstance(raw.label, tuple) else [raw.label]] = 1

    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Compute float [n, K]: each class' share in the mixed samples."""
        from augment.mixing.base import mix_targets

        return {"hot": mix_targets(fields["hot"].to(drawn.weights.dtype), drawn.index, drawn.weights)}

    def losses(
        self,
        model: "nn.Module",
        out: "Tensor",
        fields: Fields,
        weights: "Tensor",
        class_weights: "Tensor | None",
    ) -> "dict[str, Tensor]":
        """Compute binary cross-entropy with label smoothing."""
        from pipeline.tasks.multilabel.loss import binary_cross_entropy

        return {"loss": binary_cross_entropy(out, fields["hot"], weights, self.label_smoothing, class_weights)}

    def balanced(self, counts: Sequence[int], samples: int) -> list[float]:
        """Return (N - n_k) / n_k, the weight by which a class' true labels count as much as the others; N is `samples`.

        A class that none or every sample has gets 1.

        >>> Multilabel(("a", "b", "c", "d")).balanced([1, 3, 4, 0], 4)
        [3.0, 0.3333333333333333, 1.0, 1.0]
        """
        return [(samples - count) / count if 0 < count < samples else 1.0 for count in counts]

    def distance(self, out: "Tensor", taught: "Tensor", temperature: float) -> "Tensor":
        """Measure the distance of the two probabilities of each class."""
        from pipeline.tasks.multilabel.loss import binary_divergence

        return binary_divergence(out, taught, temperature)

    def answer(self, out: "Tensor") -> Answer:
        """Return a probability a class."""
        return {"scores": out.float().sigmoid()}

    def sums(self, answer: Answer, fields: Fields, weights: "Tensor", training: bool = False) -> "Tensor":
        """Sum loss, answers and labels, scores in bins, and samples."""
        return sums(answer["scores"], fields["hot"], weights, training)

    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Return scores and the labels."""
        return {"scores": answer["scores"], "hot": fields["hot"]}

    def metrics(self, tally: Tally) -> dict[str, float]:
        """Compute `loss`, `f1` and, unless the sums are of training, `mAP` of the scores in their bins."""
        return metrics(tally.sums)

    def certainty(self, rows: Arrays) -> np.ndarray:
        """Return the mean log-probability of what is true and of what is not."""
        scores = rows["scores"]
        return np.log(np.clip(np.where(rows["hot"] > 0, scores, 1 - scores), 1e-12, None)).mean(1)

    def judged(self, rows: Arrays) -> Judged:
        """Judge by F1 of each sample's labels, 1 where nothing was said and nothing is true."""
        predicted, true = rows["scores"] >= PREDICTED_FROM, rows["hot"] > 0
        together = predicted.sum(1) + true.sum(1)
        score = np.where(together, 2 * (predicted & true).sum(1) / np.maximum(together, 1), 1.0)
        names = ([named(one, self.classes) for one in sets] for sets in (true, predicted))
        wrongness = np.where(score == 1, -np.inf, -self.certainty(rows))
        return Judged("F1 of a sample's labels", "{:.1%}", score, wrongness, *names)

    def calibration(self, rows: Arrays, fitted_on: Arrays | None = None) -> "Calibration":
        """Judge the probability of each class of each sample."""
        from pipeline.tasks.calibration import of_sets

        return of_sets(rows["scores"], rows["hot"])

    def doubts(self, rows: Arrays) -> np.ndarray:
        """Take how improbable the most improbable label, or lack of one, is."""
        return np.asarray(np.where(rows["hot"] > 0, 1 - rows["scores"], rows["scores"]).max(1))

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """Draw it with the names of its classes."""
        return Drawing(pixels, named(fields["hot"], self.classes))

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Draw it with the names of what is predicted, and how probable that whole answer is,
        taking the classes for independent.
        """
        scores, predicted = row["scores"], row["scores"] >= PREDICTED_FROM
        true, words = named(row["hot"], self.classes), named(predicted, self.classes)
        shown = f"{float(np.where(predicted, scores, 1 - scores).prod()):.2f} {words}"
        return Drawing(pixels, shown if words == true else f"{shown}\nis {true}", words == true)

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Return what is said, the most probable label first, and these labels' scores; the `top` classes."""
        scores = answer["scores"]
        predicted = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] >= PREDICTED_FROM]
        return {
            "labels": [self.classes[i] for i in predicted],
            "scores": [float(scores[i]) for i in predicted],
            **top_classes(self.classes, scores, top),
        }

    def words(self, answer: Arrays) -> str:
        """Name the labels behind their probabilities."""
        row = self.row(answer)
        pairs = zip(row["labels"], row["scores"], strict=True)
        return ", ".join(f"{score:.2f} {label}" for label, score in pairs) or "nothing"

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Write tables of classes and of predictions, and average precision a class; returns the exact `mAP`."""
        from pipeline.tasks.multilabel.report import write_report

        return write_report(folder, self.classes, keys, tally.rows["hot"], tally.rows["scores"])
