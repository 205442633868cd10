"""What a sample means to the model: its target, loss, metrics, tables and figures. One module a task, named in TASKS.

Every module has the functions of `Task`. They load torch and matplotlib only when they compute: whoever plans, or puts
parts of a measurement together, need not wait for these.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.tasks import classification, multilabel

if TYPE_CHECKING:
    from torch import Tensor

Label = int | tuple[int, ...]
"""What a shard's index holds of a sample: its class, or its set of classes."""


class Task(Protocol):
    """The functions of a task's module. n samples, K classes; `targets` are rows of `target_layout`.

    What is measured adds up: ranks and parts of an evaluation add their `sums`, and `metrics` divides.
    """

    @property
    def METRICS(self) -> tuple[str, ...]:
        """What a validation measures."""

    @property
    def HEADLINE(self) -> str:
        """The metric that a line about a result tells."""

    @property
    def TITLE(self) -> str:
        """That metric's name in a sentence."""

    @property
    def IN_TRAINING(self) -> tuple[str, ...]:
        """The metrics that are worth logging of training batches."""

    @property
    def ANSWER(self) -> dict[str, str]:
        """Columns of what the exported model answers, and their types: "string", "double", or a list of either."""

    def target_layout(self, num_classes: int) -> tuple[np.dtype, tuple[int, ...]]:
        """dtype and shape of one sample's target in a batch."""

    def put_target(self, targets: np.ndarray, i: int, label: Label) -> None:
        """Write a sample's label as target `i`."""

    def mixed_targets(self, targets: "Tensor", index: "Tensor", weights: "Tensor", num_classes: int) -> "Tensor":
        """float [n, K]: targets mixed as the pixels were; `index`, `weights` as in `augment.mixing.batch.Mixed`."""

    def loss_sum(
        self,
        logits: "Tensor",
        targets: "Tensor",
        weights: "Tensor",
        label_smoothing: float,
        class_weights: "Tensor | None" = None,
    ) -> "Tensor":
        """The training's loss, summed over samples; logits float [n, K], weights float [n], class_weights float [K].

        `targets` as they come, or mixed: float [n, K].
        """

    def balanced(self, counts: Sequence[int], samples: int) -> list[float]:
        """Class weights by which frequent and rare classes count alike; `counts` of each class among `samples`."""

    def scores(self, logits: "Tensor") -> "Tensor":
        """Logits [..., K] as scores 0..1, which are averaged over a sample's views."""

    def num_sums(self, num_classes: int) -> int:
        """Length of `sums`."""

    def sums(self, scores: "Tensor", targets: "Tensor", weights: "Tensor", training: bool = False) -> "Tensor":
        """float64 [num_sums]: the summed loss first, the number of samples last; weight 0 does not count.

        `targets` may be mixed ones. In `training`, which sums up every step, only what `IN_TRAINING` needs.
        """

    def metrics(self, sums: np.ndarray) -> dict[str, float]:
        """`sums` of all samples as metrics; `loss` is among them."""

    def certainty(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """float [n]: how right each prediction is, for picking the best and the worst."""

    def truth_text(self, target: np.ndarray, classes: tuple[str, ...]) -> str:
        """A target in words."""

    def answer_text(self, scores: np.ndarray, classes: tuple[str, ...]) -> tuple[str, float]:
        """The prediction for scores [K] in words, as `truth_text` would say it, and its score."""

    def answers(self, scores: np.ndarray, classes: tuple[str, ...]) -> dict[str, list]:
        """What the exported model says of scores [n, K]: the columns of `ANSWER`."""

    def write_report(
        self, folder: Path, classes: tuple[str, ...], keys: list[str], targets: np.ndarray, scores: np.ndarray
    ) -> dict[str, float]:
        """Write tables (*.csv) and figures (figures/*.png) of an evaluation of samples `keys`.

        Returns what only all predictions together can tell exactly, in place of what `metrics` says.
        """


TASKS: dict[str, Task] = {
    "image-classification": classification,
    "video-classification": classification,
    "image-multilabel": multilabel,
    "video-multilabel": multilabel,
}
