"""The verb `evaluate`: trained models measured on any data, several of them by the mean of their answers."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.base.plain_yaml import parse_yaml
from pipeline.base.redact import redact_values
from pipeline.cluster.whole_shards import hashed_beside
from pipeline.exported.folder import Exported, check_together, other_classes
from pipeline.feed.bad_samples import check_bad, rows
from pipeline.recipe import Recipe, check, plain
from pipeline.recipe.load import set_key
from pipeline.report.gather import RECIPE
from pipeline.shards.dataset import Dataset
from pipeline.shards.shard import DATASET_FILE
from pipeline.stages import evaluation
from pipeline.stages.json_lines import write_rows
from pipeline.stages.measure import Trained, measured_split, pictures, predict_part, sample_names
from pipeline.stages.quarantine import QUARANTINE
from pipeline.stages.train import WEIGHTS
from pipeline.tasks.base import result_words
from pipeline.training.find_model import RECIPES, find_model, typed
from pipeline.verbs.report import of_evaluation
from pipeline.verbs.show import facts

FROM_RECIPE = ("data", "shard", "evaluate", "seed")
"""What the recipe says of all models: the data, and how they are measured. What a model sees, its own recipe says."""


def evaluate(
    console: Console, recipe: Recipe, dataset: Dataset, named: Sequence[str], out: Path, as_json: bool = False
) -> dict[str, float]:
    """Measure models, as `find_model` names them, on a recipe's data set; returns the metrics.

    Into `out` goes what the evaluate stage writes. One process does it, on its GPU where there is one, and each sample
    is measured once. ZoetropeError for models of another task or other classes than the data's.
    """
    split = measured_split(dataset)
    models = [Exported(find_model(typed(name), recipe.store)) for name in named]
    for model in models:
        _check_fits(model, recipe, dataset)
    check_together(models)
    trained = [Trained(_with_data(model, recipe), model.folder / WEIGHTS) for model in models]
    dataset.fetch(split)
    with hashed_beside(dataset, (split,)):
        part = predict_part(trained, dataset)
    check_bad(part.bad, recipe.data.max_bad, dataset, split)
    task, names, tally = models[0].task, sample_names(dataset, part.sample), part.tally
    chosen = evaluation.choose(task, tally)
    looks = pictures(trained, dataset, part.sample[chosen.places])
    try:
        out.mkdir(parents=True, exist_ok=True)
        measured = evaluation.write_tables(out, task, names, tally)
        lack = evaluation.draw(out, models[0].recipe, dataset, split, names, tally, chosen, looks)
        (out / RECIPE).write_text(yaml.safe_dump(redact_values(plain(trained[0].recipe)), sort_keys=False))
        write_rows(out / QUARANTINE, rows(dataset, split, part.bad, "evaluate"))
    except OSError as error:
        raise ZoetropeError(f"--out {out}: cannot be written: {error.strerror}") from error
    if as_json:
        counts = {"samples": len(names), "quarantined": len(part.bad)}
        print(json.dumps({"metrics": measured, "split": split, **counts, "folder": str(out)}))
        return measured
    for remark in [*task.remarks(tally), *([lack] if lack else [])]:
        console.print(remark, markup=False)
    by = f", by the mean of {len(models)} models" if len(models) > 1 else ""
    on = f"{len(names):,} samples of the {'test' if split == 'test' else 'validation'} split"
    left_out = f"; {len(part.bad):,} could not be used, see {QUARANTINE}" if part.bad else ""
    console.print(f"{result_words(task, measured)} on {on}{by}{left_out}", markup=False)
    console.print(facts(measured, task.measures), markup=False)
    page = "" if lack else f"; {of_evaluation(out)} shows it all"
    console.print(f"{out} holds the tables and figures{page}.", markup=False)
    return measured


def is_recipe(word: str) -> bool:
    """Tell whether a word of the command line is a recipe's file."""
    return word.endswith(RECIPES)


def parted(words: Sequence[str]) -> tuple[str, list[str]]:
    """Part words into the data and the models: the first recipe or folder of shards is the data.

    ZoetropeError where none is, or where shards stand without a model.
    """
    data = next((word for word in words if is_recipe(word) or (Path(word) / DATASET_FILE).is_file()), None)
    if data is None:
        raise ZoetropeError(
            f"none of {', '.join(words)} is data: a recipe (.yaml), or a folder of shards with a {DATASET_FILE}, as "
            "the shard stage makes it; for tars of others, write a recipe with a source of kind webdataset"
        )
    models = list(words)
    models.remove(data)
    if not models and not is_recipe(data):
        raise ZoetropeError(f"{data} is data, and no model is named: a run, an exported folder, an MLflow URI")
    return data, models or [data]


def recipe_of(named: str, changes: Sequence[str]) -> Recipe:
    """Return the recipe of a model, with changes: how it is measured on shards that have none."""
    model = Exported(find_model(typed(named)))
    values = plain(model.recipe)
    for change in changes:
        key, _, value = change.partition("=")
        set_key(values, key.strip(), parse_yaml(value))
    return check(values, f"{model.folder / 'recipe.yaml'}")


def _with_data(model: Exported, recipe: Recipe) -> Recipe:
    """Return the model's recipe for the data of another one: its batches are as large, and made on this machine."""
    ours = plain(recipe)
    feed = {key: ours["feed"][key] for key in ("workers", "timeout_s")}
    values = {**plain(model.recipe), **{key: ours[key] for key in FROM_RECIPE}, "feed": feed}
    values["train"] = {**values["train"], "batch_size": recipe.train.batch_size}
    return check(values, f"{model.folder / 'recipe.yaml'} on the data of {recipe.name}")


def _check_fits(model: Exported, recipe: Recipe, dataset: Dataset) -> None:
    if model.recipe.task.kind != recipe.task.kind:
        raise ZoetropeError(
            f"{model.folder} answers {model.recipe.task.kind}, and {recipe.name} is a recipe of {recipe.task.kind}: "
            "measure it with a recipe of its own task"
        )
    if model.classes != list(dataset.classes):
        raise ZoetropeError(
            f"{model.folder} knows {other_classes(dataset.classes, model.classes, f'the data of {recipe.name}')}; "
            "models are measured on data of their own classes, in the same order"
        )
