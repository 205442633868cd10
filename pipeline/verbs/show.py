"""What a verb prints: the plan, the table of stages, the result and the next commands."""

import json
import os
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from pipeline.base.plugins import packages
from pipeline.base.redact import redact
from pipeline.graph.plan import Plan
from pipeline.recipe import Recipe, plain
from pipeline.store import Artifact
from pipeline.tasks import task_of
from pipeline.tasks.base import Task, result_words
from pipeline.training.scaling import scaled_lr

if TYPE_CHECKING:
    from pipeline.graph.execute import StageResult


LEAVE_OUT = {"shard": "file", "train": "sample", "evaluate": "measured sample"}
"""The stages with a table of what they left out, and how one such thing is called."""


def show_plan(console: Console, plan: Plan, warnings: Sequence[str] = ()) -> None:
    """Print each stage with reuse or run, and why, a reason a line; the data.

    What there is to do, and what to beware of.
    """
    name_width = max(len(step.stage.name) for step in plan.steps)
    indent = name_width + 9
    for step in plan.steps:
        reasons = step.reasons if step.action == "run" else ("is there",)
        head = f"{step.stage.name:<{name_width}}  {step.action:<5}  "
        for reason in reasons:
            console.print(escape(_hanging(head, redact(reason), console.width)))
            head = " " * indent
        if step.note:
            console.print(f"[dim]{escape(_hanging(head, step.note, console.width))}[/]")
    for note in plan.notes:
        console.print(escape(textwrap.fill(redact(note), console.width, subsequent_indent="  ")))
    count = len(plan.to_run)
    console.print(f"{count} stage{'' if count == 1 else 's'} to run")
    for warning in warnings:
        console.print(escape(_hanging("Warning: ", warning, console.width)))


def print_plan(plan: Plan) -> None:
    """Print a line of JSON for each stage, for scripts; a fingerprint that hangs on what is to come is null."""
    for step in plan.steps:
        reasons = [redact(reason) for reason in step.reasons]
        line = {"stage": step.stage.name, "action": step.action, "fingerprint": step.fingerprint, "reasons": reasons}
        print(json.dumps(line))


def training_words(recipe: Recipe) -> str:
    """Return what a recipe's few numbers mean for the training, in a sentence.

    The learning rate's scaling, and which parameters decay, are what users are most often wrong about.
    """
    optimizer, batch = recipe.optimizer, recipe.train.batch_size
    peak = scaled_lr(optimizer.lr, batch, optimizer.base_batch, optimizer.scaling)
    scale = f" ({optimizer.scaling} from {optimizer.lr:g} at {optimizer.base_batch})"
    where = "all parameters" if optimizer.decay_all else "weights, not on biases, norms and embeddings of place"
    parts = [
        f"{recipe.train.duration} in batches of {batch}" + _parts_words(recipe),
        f"peak learning rate {peak:g}" + (scale if optimizer.scaling != "none" else ""),
        f"weight decay {optimizer.weight_decay:g} on {where}" if optimizer.weight_decay else "no weight decay",
    ]
    return "training: " + ", ".join(parts)


def _parts_words(recipe: Recipe) -> str:
    match recipe.train.micro_batch:
        case None:
            return ""
        case "auto":
            return " (in smaller parts whenever the memory does not suffice)"
        case most:
            return f" (at most {most} at once)"


def _hanging(head: str, text: str, width: int) -> str:
    """Set `text` behind `head`, its further lines below its first one."""
    below = " " * len(head)
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=below, break_on_hyphens=False)


def show_stages(console: Console, results: "Sequence[StageResult]", total_s: float, task: Task) -> None:
    """Print what each stage did, and how long it took; where the reasons are when samples were left out."""
    table = Table()
    table.add_column("stage", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    for result in results:
        took = f"{result.duration_s:.1f}" if result.action == "made" else ""
        table.add_row(result.stage, result.action, took, facts(result.artifact.facts, task.measures))
    table.add_section()
    table.add_row("in all", "", f"{total_s:.1f}", "")
    console.print(table, soft_wrap=False)
    for result in results:
        # The shard stage's table holds that of ingest.
        if result.stage in LEAVE_OUT and (count := result.artifact.facts.get("quarantined")):
            files = LEAVE_OUT[result.stage] + (" was" if count == 1 else "s were")
            console.print(f"{count} {files} left out; the reasons are in {result.artifact.file('quarantine.jsonl')}")


def facts(values: Mapping[str, object], forms: Mapping[str, str]) -> str:
    """Return the numbers among a stage's facts, in a line; metrics as `forms` write them.

    >>> values = {"train": 969, "bytes": 6830080, "quarantined": 0, "val/top1": 0.71428, "run": "3f2a"}
    >>> facts(values, {"top1": "{:.1%}"})
    'train 969, 6.8 MB, val/top1 71.4%'
    """
    shown = []
    for name, value in values.items():
        if name == "bytes" and isinstance(value, int):
            shown.append(decimal(value))
        elif isinstance(value, int) and (value or name != "quarantined"):
            shown.append(f"{name} {value}")
        elif isinstance(value, float):
            shown.append(f"{name} {forms.get(name.rpartition('/')[2], '{:.4g}').format(value)}")
    return ", ".join(shown)


def show_result(
    console: Console,
    recipe: Recipe,
    artifacts: Mapping[str, Artifact],
    recipe_path: str,
    overrides: Sequence[str],
    report: Path | None = None,
) -> None:
    """Print the score, where everything is, and what to type next."""
    from pipeline.tracking.address import resolve

    tracking = resolve(recipe.tracking.uri, recipe.store)
    # Of a training by earlier code, or whose MLflow was away, the experiment is not known.
    trained = artifacts["train"].facts if "train" in artifacts else {}
    experiment_id = trained.get("mlflow_experiment_id")
    page = tracking.page(experiment_id, trained.get("mlflow_view")) if experiment_id else ""
    allowed = [f"--allow={package}" for package in packages(plain(recipe))]
    longer = [text for text in overrides if text.partition("=")[0].strip() != "train.duration"]
    arguments = [recipe_path, *(redact(text) for text in longer), f"train.duration={_doubled(recipe)}", *allowed]
    measured = artifacts["evaluate"].facts
    split = "test" if measured.get("split") == "test" else "validation"
    console.print(f"\n[bold]{result_words(task_of(recipe), measured)}[/] on the {split} split")
    for name, place in (
        ("report", report),
        ("evaluation", artifacts["evaluate"].url),
        ("model", artifacts["export"].url),
    ):
        if place:
            console.print(f"{name:<11} {place}", markup=False)
    console.print("\nBrowse the results:")
    for line in browse_lines(tracking.ui_command, page):
        console.print(f"  {line}", markup=False)
    console.print("Train longer:")
    console.print(f"  python -m pipeline run {shlex.join(arguments)}", markup=False)


def browse_lines(ui_command: str, page: str) -> list[str]:
    """Return how to come to `page` of MLflow: the command that starts its UI, unless that is a server's address."""
    if not page:
        return [ui_command]
    return [page] if "://" in ui_command.split()[0] else [ui_command, f"and open {page}"]


def _doubled(recipe: Recipe) -> str:
    duration = recipe.train.duration
    return f"{float(2 * duration.amount):.15g}{duration.unit}"


LIMITS = {
    "read": "Reading the shards limits it: a disk nearer or faster helps, or smaller files ({smaller}).",
    "decode": "Decoding limits it: more feed.workers help while cores are idle, smaller files ({smaller}), or "
    "feed.cache=8GiB, which keeps what was decoded.",
    "augment": "The transforms of augment.train limit it: more feed.workers help while cores are idle.",
    "collate": "Copying limits it: smaller crops at the end of augment.train help.",
    "wait": "The workers mostly wait: fewer feed.workers would do.",
}


def show_feed(console: Console, recipe: Recipe, shards: Artifact, seconds: float) -> None:
    """Print samples a second of one training worker's feed with nothing behind it, each step's
    share, and what limits it; where decoded samples are kept, also from the second epoch on, of which the shares are.
    """
    from pipeline.feed import cache
    from pipeline.feed.batch import BatchSource
    from pipeline.feed.rate import measure
    from pipeline.shards.dataset import open_dataset
    from pipeline.stages.train import check_samples

    dataset = open_dataset(shards.files)
    check_samples(recipe, dataset)
    dataset.fetch("train")
    source = BatchSource(recipe, dataset, "train", training=True)
    rate, kept = measure(source, recipe.feed.workers, recipe.feed.timeout_s, seconds, console.print)
    count = recipe.feed.workers
    makers = f"{count} worker process{'' if count == 1 else 'es'}" if count else "the process itself"
    console.print(
        f"[bold]{rate.samples_per_s:,.0f} samples/s[/] from {makers} "
        f"({rate.batches} batches of {recipe.train.batch_size}, {os.cpu_count()} cores)"
    )
    if kept:
        console.print(f"[bold]{kept.samples_per_s:,.0f} samples/s[/] from the second epoch on")
        console.print(cache.words(recipe, dataset), markup=False)
        rate = kept
    for step, share in rate.shares.items():
        console.print(f"{step:<8} {share:6.1%}  {'█' * round(40 * share)}")
    if rate.bad:
        console.print(f"{rate.bad} samples cannot be used; a training would replace them and say which.")
    smaller = "shard.video.short_side" if recipe.task.modality == "video" else "shard.image.short_side"
    console.print(LIMITS[max(rate.shares, key=lambda step: rate.shares[step])].format(smaller=smaller))
