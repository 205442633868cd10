"""What a task is: it owns a sample's fields, the loss, the measure, the words and the pictures.

A task's object is frozen, small and made once of a recipe and the classes of the data, by `task_of`. Whatever loads
torch or matplotlib does so in the functions that compute: who plans, or makes batches, need not wait for these.

n samples, K classes. `Fields` are a batch's arrays beside its pixels, by the names of `Task.layout`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np

from pipeline.figures.drawing import Drawing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augment.mixing.batch import Drawn
    from augment.rides import Companions, View
    from pipeline.base.keyed import Part
    from pipeline.recipe import Recipe
    from pipeline.recipe.evaluate import Evaluate
    from pipeline.shards.dataset import Dataset
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.calibration import Calibration
    from pipeline.tasks.suited import Facts, Suited

Layout = dict[str, tuple[np.dtype, tuple[int, ...]]]
"""dtype and shape of arrays, by name."""
Arrays = Mapping[str, np.ndarray]
Fields = Mapping[str, "Tensor"]
Inputs = Mapping[str, "Tensor"]
"""What a model looks at, normalised and on its device: `pixels` float [n, 3, (T,) H, W], and what else by its name."""
LOOKED_AT = ("pixels", "flow")
"""The arrays of a batch that are a model's inputs."""
Answer = Mapping[str, "Tensor"]
"""What a model says of n samples, tensors [n, ...] by name, which the task makes of a model's outputs."""


TOP = {"top_labels": "list of string", "top_scores": "list of double"}
"""`ranked` of a task whose answers are `scores` of classes."""


def looked_at(arrays: Arrays) -> dict[str, np.ndarray]:
    """Return the arrays of a batch that are a model's inputs."""
    return {name: arrays[name] for name in LOOKED_AT if name in arrays}


class Headline(NamedTuple):
    """The metric that a line about a result tells; larger is better."""

    metric: str
    title: str
    """Its name in a sentence."""


class Judged(NamedTuple):
    """What a report tells of each of n samples.

    name, form: what its score is called, and how the number is written: "{:.1%}"
    score:      float [n], the larger the better; its mean over samples says how good a model is
    wrongness:  float [n], the largest are to be looked at first; -inf where there is nothing to look at
    true, said: names [n] of what it is and of what was answered; empty where no name says it
    """

    name: str
    form: str
    score: np.ndarray
    wrongness: np.ndarray
    true: Sequence[str] = ()
    said: Sequence[str] = ()


@dataclass(frozen=True)
class Tally:
    """What was measured of some samples: sums add up over them, rows [n, ...] are one a sample, in the samples' order.

    Both come out the same however the samples were shared among processes. The summed loss is the first of the sums,
    the number of samples the last.
    """

    sums: np.ndarray
    rows: Arrays = field(default_factory=dict)


class Run(Protocol):
    """A trained model, to be called: on its device, in its precision, without gradients."""

    @property
    def model(self) -> "nn.Module":
        """The model itself, for what it makes of its outputs."""

    @property
    def how(self) -> "Evaluate | None":
        """What an evaluation asks for; None in a training, which validates in the plainest way."""

    def parts(self, n: int) -> Iterator[slice]:
        """Cut n samples into as many as go through the model at once."""

    def inputs(self, arrays: Arrays) -> Inputs:
        """Return pixels uint8 [n, (T,) H, W, 3], and what else there is, as the model gets them."""

    def __call__(self, inputs: Inputs) -> Any:
        """Return the model's outputs."""


@dataclass(frozen=True)
class Task(ABC):
    """One task's object; `classes` are the names of the data's classes."""

    classes: tuple[str, ...]

    headline: ClassVar[Headline]
    """The metric by which trainings are judged."""
    measures: ClassVar[dict[str, str]]
    """The metrics of a validation, and how the number of each is written: "{:.1%}"."""
    smaller_is_better: ClassVar[frozenset[str]] = frozenset({"loss"})
    """Those of them that should be small; the others should be large."""
    unjudged: ClassVar[frozenset[str]] = frozenset()
    """Those of them that should be neither, such as a threshold."""
    in_training: ClassVar[tuple[str, ...]]
    """Those that are worth logging of training batches."""
    columns: ClassVar[dict[str, str]]
    """What the exported model answers: names and types, "string", "double" or "binary", a list of such, or
    of such lists."""
    ranked: ClassVar[dict[str, str]] = {}
    """The columns that there are besides where more than the best answer is asked for."""
    suffixes: ClassVar[dict[str, str]] = {}
    """What the files are called that hold a binary column: ".png"."""
    helper: ClassVar[Path | None] = None
    """A Python file that lies beside an exported one: it makes an answer of what that gives, see `told`."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """The members that a sample has beside what the model looks at."""
    has_temperature: ClassVar[bool] = False
    """Whether a temperature makes its probabilities as sure as they are right."""
    rides: ClassVar[frozenset[str]] = frozenset()
    """What goes through the transforms with the pixels: names of `augment.rides.KINDS`."""
    by_rows: ClassVar[bool] = False
    """Whether the metrics of a validation are made of `rows`; else sums are enough."""
    judged_by: ClassVar[tuple[str, str]] = ("score", "{:.3f}")
    """What `certainty` of a sample is called where a report compares samples, and how it is written."""
    any_size: ClassVar[bool] = False
    """Whether its models take pictures of any size, so that an evaluation need not bring them to one."""

    @classmethod
    def of(cls, recipe: "Recipe", classes: tuple[str, ...]) -> "Task":
        """Make the task of a recipe."""
        return cls(classes)

    @classmethod
    def worded(cls, section: Mapping[str, Any]) -> "Task":
        """Make the task for its words about an old run, of the plain values of its section."""
        return cls(())

    @classmethod
    def suited(cls, facts: "Facts") -> "Suited":
        """Choose the parts of a recipe that suit such data; asked of tasks that a source takes a folder for."""
        raise NotImplementedError

    def sized(self, dataset: "Dataset", training: bool) -> "Task":
        """Fit fields whose size the data say."""
        return self

    def transforms(self, spec: list[dict[str, dict[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
        """Return a recipe's transforms as they act on the stored picture."""
        return spec

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (H, W) of what a model sees of a view of that size."""
        return height, width

    def seen(self, view: "View", *key: "Part") -> "View":
        """Return what a model sees of a view of a data set's sample, by draws of that key."""
        return view

    @abstractmethod
    def layout(self, height: int, width: int) -> Layout:
        """Name the fields of one sample of which a model sees that size."""

    def companions(self, raw: "RawSample") -> "Companions":
        """Decode what goes through the transforms with a sample's pixels; asked for where something `rides`."""
        raise NotImplementedError

    @abstractmethod
    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write a sample's fields to place `i`; `view` is what became of its companions, None where nothing rides."""

    @abstractmethod
    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Mix the fields as the samples' pixels are mixed."""

    def mixed_inputs(self, inputs: Inputs, drawn: "Drawn", fields: Fields) -> Inputs:
        """Mix what a model looks at; `fields` as they are mixed."""
        return {name: drawn.apply(x) for name, x in inputs.items()}

    def resized(self, fields: Fields, size: tuple[int, ...], to: tuple[int, ...]) -> Fields:
        """Fit the fields to pixels that are brought from one size (H, W) to another; asked for by `train.sizes`."""
        raise NotImplementedError

    def count(
        self, model: "nn.Module", size: tuple[int, ...], fields: Fields, weights: "Tensor"
    ) -> "dict[str, Tensor]":
        """Count what parts of the loss are divided by, each over these samples; those left out count samples.

        It follows from the targets and the size (H, W) of the samples alone: it is added up over processes and
        micro-batches before the first forward.
        """
        return {}

    @abstractmethod
    def losses(
        self, model: "nn.Module", out: Any, fields: Fields, weights: "Tensor", class_weights: "Tensor | None"
    ) -> "dict[str, Tensor]":
        """Compute the loss as parts, each summed over what it counts.

        out: what `model` gave, an auxiliary head's included; fields as they came or mixed; weights float [n], 0 for a
        sample that only fills up a rank; class_weights float [K].
        """

    def balanced(self, counts: Sequence[int], samples: int) -> list[float]:
        """Weigh classes so that frequent and rare ones count alike; `counts` of each class among `samples`.

        N / (K * n_k) for n_k of N samples, K classes that have any: a sample counts 1 on average. A class without
        samples gets 1. For counts 6, 2, 0 of 8 that is 2/3, 2, 1.
        """
        present = sum(count > 0 for count in counts)
        return [samples / (present * count) if count else 1.0 for count in counts]

    def distance(self, out: Any, taught: Any, temperature: float) -> "Tensor":
        """Measure how far a student's outputs are from its teacher's (distillation): float [n]."""
        raise NotImplementedError

    @abstractmethod
    def answer(self, out: Any) -> Answer:
        """Turn a model's outputs for one view a sample into an answer."""

    def answering(self, how: "Evaluate") -> Self:
        """Return the task as an exported file answers it, where the recipe's `evaluate` says something of that."""
        return self

    def exported(self, model: "nn.Module", x: "Tensor") -> Answer:
        """Answer views as the model gets them, float [n, 3, (T,) H, W]: what a file holds that runs without us.

        Plain operations on tensors, the same for any x: it is traced.
        """
        out = model(x)
        return self.answer(out[0] if isinstance(out, tuple) else out)

    def told(self, how: "Evaluate") -> dict[str, Any]:
        """Say what who uses an exported file has to know of the task, by name, in what JSON can hold.

        how: what the recipe's evaluation asks for
        """
        return {}

    def infer(self, run: Run, arrays: Arrays) -> Answer:
        """Answer a batch's arrays, pixels uint8 [n, V, (T,) H, W, 3]: by the mean over a sample's views, of answers or,
        where `evaluate.average` says so, of logits.
        """
        import torch

        n, views = arrays["pixels"].shape[:2]
        flat = {name: array.reshape(n * views, *array.shape[2:]) for name, array in looked_at(arrays).items()}
        cuts = run.parts(n * views)
        outs = (run(run.inputs({name: array[cut] for name, array in flat.items()})) for cut in cuts)
        if run.how is not None and run.how.average == "logits":
            return self.answer(torch.cat([out.float() for out in outs]).view(n, views, -1).mean(1))
        parts = [self.answer(out) for out in outs]
        whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return {name: value.view(n, views, *value.shape[1:]).mean(1) for name, value in whole.items()}

    @abstractmethod
    def sums(self, answer: Answer, fields: Fields, weights: "Tensor", training: bool = False) -> "Tensor":
        """Measure: float64 [S] on the device, see `Tally`; a sample of weight 0 does not count.

        In `training`, which sums up every step, only what `in_training` needs; the loss is then the step's own.
        """

    @abstractmethod
    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Pick what an evaluation keeps of each sample, its truth included: [n, ...] by name."""

    @abstractmethod
    def metrics(self, tally: Tally) -> dict[str, float]:
        """Compute the metrics of what was measured; `loss` is among them."""

    @abstractmethod
    def certainty(self, rows: Arrays) -> np.ndarray:
        """Say how right each answer is, float [n], for picking the best and the worst."""

    def shown(self, rows: Arrays) -> dict[str, np.ndarray]:
        """Pick what an evaluation draws: the name of a figure -> float [n], whose lowest samples are in it."""
        certainty = self.certainty(rows)
        return {"worst": certainty, "best": -certainty}

    def judged(self, rows: Arrays) -> Judged:
        """Judge each sample for a report, which lists the worst and compares two models sample by sample."""
        certainty = self.certainty(rows)
        return Judged(*self.judged_by, certainty, -certainty)

    def calibration(self, rows: Arrays, fitted_on: Arrays | None = None) -> "Calibration | None":
        """Judge the probabilities of answers; None where there are none to judge.

        fitted_on: the rows of the validation split, where another is measured and the task `has_temperature`
        """
        return None

    def doubts(self, rows: Arrays) -> np.ndarray | None:
        """Say how probably each label is wrong, float [n], the largest first; None where nothing tells."""
        return None

    def pictured(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Pick what `compared` draws of the few samples that are shown, and is too much to keep of all: [n, ...]."""
        return {}

    @abstractmethod
    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """Draw a sample uint8 [(T,) H, W, 3] with what it is; `fields` of that one sample."""

    @abstractmethod
    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Draw a sample with what the model says and, where that is wrong, what it is.

        A row of `rows`, with what there is of `pictured`.
        """

    def together(self, answers: "Sequence[Answer]") -> Answer:
        """Join what several models answer to the same samples: the mean."""
        import torch

        return {name: torch.stack([answer[name] for answer in answers]).mean(0) for name in answers[0]}

    def restored(self, answer: Answer, frame: "Tensor", size: tuple[int, int]) -> Answer:
        """Bring one picture's answer, tensors [1, ...], back to the px of its file.

        frame: float [2, 3], maps (x, y, 1) of the file to the view that the model saw
        size:  (H, W) of the file in px, as it is shown
        """
        return answer

    @abstractmethod
    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Fill `columns` for one file, and `ranked` for `top` answers above 1; an answer as `restored` makes it."""

    @abstractmethod
    def words(self, answer: Arrays) -> str:
        """Say the answer to one file in a line."""

    def drawn(self, pixels: np.ndarray, answer: Arrays) -> Drawing:
        """Draw a file's picture uint8 [H, W, 3], or frames of its video [T, H, W, 3], with what the model says."""
        return Drawing(pixels, self.words(answer))

    def table(self, top: int = 1) -> dict[str, str]:
        """Return the columns of `row`."""
        return {**self.columns, **self.ranked} if top > 1 else self.columns

    def remarks(self, tally: Tally) -> list[str]:
        """Say what is not plain from the metrics of an evaluation, a sentence each."""
        return []

    @abstractmethod
    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Write tables (*.csv) and figures (figures/*.png) of an evaluation of samples that the source calls `keys`.

        Returns what only all answers together can tell exactly, in place of what `metrics` says.
        """


def top_classes(classes: Sequence[str], scores: np.ndarray, top: int) -> dict[str, list]:
    """Return the columns `TOP` of scores [K]: the `top` classes, the most probable first; nothing for one alone."""
    if top < 2:
        return {}
    best = np.argsort(-scores, kind="stable")[:top]
    return {"top_labels": [classes[i] for i in best], "top_scores": [float(scores[i]) for i in best]}


def result_words(task: Task | type[Task], metrics: Mapping[str, float]) -> str:
    """Return the headline of some metrics, as in "top-1 71.4%"."""
    metric, title = task.headline
    return f"{title} {task.measures[metric].format(metrics[metric])}"


def score_words(task: Task | type[Task], measured: Mapping[str, Any]) -> str:
    """Return the headline of an evaluation's facts, and on which split it was measured unless that is `val`."""
    return result_words(task, measured) + (" on test" if measured.get("split") == "test" else "")


def riding(task: Task, training: bool, with_flow: bool) -> frozenset[str]:
    """Return what goes through the transforms. In evaluation the frame does, too: answers are brought back by it."""
    frame = {"frame"} if task.rides and not training else set()
    return task.rides | frame | ({"flow"} if with_flow else set())
