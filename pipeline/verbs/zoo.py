"""What `models` prints: what there is to train, what it costs, and the official weights that it may start from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

import models
from models.complexity import Complexity, complexity
from models.official import Official, weights_of
from models.options.own import options_of
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.tasks import SECTIONS, section_of

# Data sets on which publishers measured with one view of a sample, which is what multiply-adds are counted for.
DRAWN = {"imagenet1k": ("ImageNet-1K", 1000), "kinetics400": ("Kinetics-400", 400)}


def show_models(console: Console, names: Sequence[str]) -> None:
    """Print a line a model, and one a name that `model.weights` may be.

    Costs are counted for as many classes as ImageNet, Kinetics-400 and, of masks and objects, PASCAL VOC have.
    """
    table = Table()
    table.add_column("model", no_wrap=True)
    table.add_column("task")
    table.add_column("input")
    table.add_column("parameters", justify="right")
    table.add_column("GMACs", justify="right")
    table.add_column("model.weights, score, licence", no_wrap=True)
    for name in names or models.names():
        tasks, cost = _tasks_and_cost(name)
        shape = "x".join(str(size) for size in cost.input_shape)
        weights = "\n".join(words(row, name) for row in weights_of(name))
        table.add_row(name, ", ".join(tasks), shape, f"{cost.parameters:,}", f"{cost.multiply_adds / 1e9:.2f}", weights)
    console.print(table)
    console.print("Start from them by name, as in `model.weights=imagenet1k`; they are fetched before training.")


def print_models(names: Sequence[str]) -> None:
    """Print a line of JSON for each model, for scripts: what `show_models` shows."""
    for name in names or models.names():
        tasks, cost = _tasks_and_cost(name)
        print(
            json.dumps(
                {"model": name, "tasks": tasks, **asdict(cost), "weights": [row.name for row in weights_of(name)]}
            )
        )


def _tasks_and_cost(name: str) -> tuple[list[str], Complexity]:
    models.check_options(name)
    options = options_of(name)
    fitting = [section_of(kind) for kind in SECTIONS]
    asked = (options.modality(), options.answers, options.outlines)
    tasks = [one.kind for one in fitting if (one.modality, one.answers, one.outlines) == asked]
    of_classes = 1000 if options.eats == "image" else 400
    classes = {"mask": 21, "objects": 20, "keypoints": 1, "image": 0, "classes": of_classes}
    return tasks, complexity(name, classes[options.answers])


def draw_models(names: Sequence[str], path: Path) -> int:
    """Draw the published top-1 of models over multiply-adds and parameters; return how many there are.

    A model is drawn where it has weights of its own, not of a trunk, that were measured with one view of a sample.
    ZoetropeError when none of `names` is such, or `path` is no SVG, PNG or PDF.
    """
    from pipeline.figures.published import PICTURES, Published, accuracy_over_costs

    if path.suffix not in PICTURES:
        raise ZoetropeError(f"{path} is none of {', '.join(PICTURES)}; give --out such a name, such as models.svg.")
    shown: dict[str, list[Published]] = {}
    for name in names or models.names():
        models.check_options(name)
        for row in weights_of(name):
            if row.of == name and row.name in DRAWN and row.metric == "top-1" and row.score:
                title, classes = DRAWN[row.name]
                cost = complexity(name, classes, **row.model_options)
                family = options_of(name).__module__.rpartition(".")[2]
                point = Published(name, family, row.score, cost.multiply_adds, cost.parameters)
                shown.setdefault(title, []).append(point)
    if not shown:
        raise ZoetropeError(
            f"none of {', '.join(names)} has published top-1 of one view on ImageNet-1K or Kinetics-400, so there is "
            "nothing to draw; leave the names out to draw all that have"
        )
    accuracy_over_costs(shown, path)
    return sum(map(len, shown.values()))


def words(row: Official, kind: str) -> str:
    """Return a model's name of weights with the published score and the licence.

    >>> words(weights_of("tsm_resnet18")[0], "tsm_resnet18")
    'imagenet1k: top-1 69.8% of resnet18, BSD-3-Clause'
    """
    score = f"{row.metric} {row.score:.1f}%" if row.score else "no score"
    of = "" if row.of == kind else f" of {row.of}"
    return f"{row.name}: {score}{of}, {row.licence}"
