"""What a search leaves in the store, in MLflow and on the terminal: best.yaml, a table, figures, a page."""

import json
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.markup import escape

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact_values
from pipeline.recipe import Recipe, plain
from pipeline.tasks.tables import write_csv
from pipeline.tracking.address import resolve
from tune.journal import Trial
from tune.live import show_value, table
from tune.result import SearchResult

if TYPE_CHECKING:
    from pipeline.recipe.tuning import Tune

BEST, TABLE, ROWS, PAGE, SCHEDULE = "best.yaml", "trials.csv", "trials.json", "report.md", "schedule.json"
FIGURES = ("parallel_coordinates.png", "importance.png", "progress.png")


def save_weights(trial: Trial, path: Path) -> Path | None:
    """Write what a trial's training made, as safetensors; None when its checkpoint is gone."""
    from pipeline.training import checkpoint

    if trial.checkpoint is None or not Path(trial.checkpoint).is_dir():
        return path if path.exists() else None  # written by an attempt that was killed right after
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f".{path.name}")
    checkpoint.save_weights(checkpoint.final_weights(checkpoint.read(Path(trial.checkpoint))), new)
    new.replace(path)
    return path


def command(folder: Path, recipe: Recipe, tune: "Tune") -> str:
    """Return what trains the best recipe as its trial was: on as many workers, on which
    BatchNorm and rounding depend.
    """
    same = str(recipe.cluster.workers) == str(tune.trial.workers)
    on = "" if same else f" cluster.workers={tune.trial.workers}"
    return f"python -m pipeline run {shlex.quote(str(folder / BEST))}{on}"


def write(found: SearchResult, recipe: Recipe, tune: "Tune") -> None:
    """Fill the search's folder."""
    from tune import figures

    folder, trials = found.folder, found.trials
    keys = list(tune.space)
    metrics = sorted({name for trial in trials for name in trial.metrics})
    header = ("trial", "status", "epoch", *metrics, *keys, "retries", "seconds", "error")
    write_csv(folder / TABLE, header, (_cells(trial, metrics, keys) for trial in trials))
    (folder / ROWS).write_text(json.dumps([_row(trial) for trial in trials], indent=1))
    if found.recipe and found.best:
        values = {key: value for key, value in plain(found.recipe).items() if key != "tune"}
        head = (
            f"# The best of {len(trials)} trials: {tune.metric} {found.best.value:.4f} (trial {found.best.number}).\n"
            f"# {command(folder, recipe, tune)}\n"
        )
        (folder / BEST).write_text(head + yaml.safe_dump(redact_values(values), sort_keys=False))
        if len(found.best.history) > 1:
            (folder / SCHEDULE).write_text(json.dumps(found.best.history, indent=1))
    drawn = folder / "figures"
    drawn.mkdir(exist_ok=True)
    figures.progress(trials, tune, drawn / "progress.png")
    figures.parallel_coordinates(trials, tune, drawn / "parallel_coordinates.png")
    figures.importance(trials, tune, recipe.seed, drawn / "importance.png")
    (folder / PAGE).write_text(page(found, recipe, tune))


def _cells(trial: Trial, metrics: list[str], keys: list[str]) -> list[Any]:
    measured = [trial.metrics.get(name, "") for name in metrics]
    values = [trial.values.get(key) for key in keys]
    shown = [value if isinstance(value, str) else json.dumps(value) for value in values]
    rest = [trial.retries, round(trial.seconds, 1), trial.error or ""]
    return [trial.number, trial.status, trial.epoch, *measured, *shown, *rest]


def _row(trial: Trial) -> dict[str, Any]:
    def finite(metrics: dict[str, float]) -> dict[str, float | None]:
        return {name: value if math.isfinite(value) else None for name, value in metrics.items()}

    return {
        "trial": trial.number,
        "status": trial.status,
        "epoch": trial.epoch,
        "metrics": finite(trial.metrics),
        "values": trial.values,
        "history": trial.history,
        "results": [{**result, "metrics": finite(result["metrics"])} for result in trial.results],
        "retries": trial.retries,
        "seconds": round(trial.seconds, 1),
        "error": trial.error,
    }


def page(found: SearchResult, recipe: Recipe, tune: "Tune") -> str:
    """Return the report, Markdown."""
    keys = list(tune.space)
    lines = [f"# Search {found.folder.name}", ""]
    lines.append(_verdict(found, tune))
    how = f"search {tune.search.kind}, scheduler {tune.scheduler.kind}, {tune.metric} to be {tune.mode}imal"
    lines += ["", f"{_counts(found.trials)}; {how}.", ""]
    lines += [f"| trial | status | epoch | {tune.metric} | {' | '.join(keys)} |", "|" + "---|" * (4 + len(keys))]
    for trial in found.trials:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        shown = [show_value(trial.values.get(key)).replace("|", "\\|") for key in keys]
        lines.append(f"| {trial.number} | {trial.status} | {trial.epoch:.3g} | {value} | {' | '.join(shown)} |")
    failed = [trial for trial in found.trials if trial.status == "failed"]
    if failed:
        lines += ["", "Failed:", "", *(f"* trial {trial.number}: {trial.error}" for trial in failed)]
    if found.best and len(found.best.history) > 1:
        lines += ["", "The best weights came to be by this schedule (also in schedule.json):", ""]
        for entry in found.best.history:
            changes = ", ".join(f"{key} {show_value(value)}" for key, value in entry["values"].items())
            lines.append(f"* from epoch {entry['epoch']:g}: {changes}")
    lines += ["", *(f"![{name}](figures/{name})" for name in FIGURES if (found.folder / "figures" / name).exists())]
    return "\n".join(lines) + "\n"


def _verdict(found: SearchResult, tune: "Tune") -> str:
    if found.best is None or found.best.value is None:
        return "No trial came to a result."
    values = ", ".join(f"{key} {show_value(value)}" for key, value in found.best.values.items())
    partly = "" if found.best.status == "done" else ", which was stopped before its end"
    return f"Best: {tune.metric} {found.best.value:.4f}, trial {found.best.number}{partly}: {values}"


def _counts(trials: list[Trial]) -> str:
    counts = {word: sum(trial.status == word for trial in trials) for word in ("done", "stopped", "failed")}
    words = [f"{count} {word}" for word, count in counts.items() if count]
    return f"{len(trials)} trials: " + ", ".join(words)


def publish(tracker: Any, found: SearchResult, tune: "Tune") -> None:
    """Give the parent run the table, the figures and the winner; mark the winner's own run."""
    from tune.tracking import PARENT

    names = [TABLE, ROWS, BEST, PAGE, SCHEDULE, *(f"figures/{name}" for name in FIGURES)]
    files = {name: found.folder / name for name in names if (found.folder / name).exists()}
    tracker.files.remote(PARENT, files)
    if found.best is not None and found.best.value is not None:
        tracker.points.remote(PARENT, 0, {f"best/{tune.metric}": found.best.value, "best/trial": found.best.number})
        tracker.tag.remote(found.best.number, {"zoetrope.best": "true"})
        top = (found.folder / PAGE).read_text()[:5000]
        tracker.tag.remote(PARENT, {"zoetrope.best_trial": str(found.best.number), "mlflow.note.content": top})


def show(console: Console, found: SearchResult, recipe: Recipe, tune: "Tune", seconds: float) -> None:
    """Print the table, the winner, and where things lie. ZoetropeError when all trials failed."""
    by_number = {trial.number: trial for trial in found.trials}
    console.print(table(by_number, tune.metric, tune.mode), soft_wrap=False)
    console.print(f"{_counts(found.trials)}; {seconds:.0f} s", markup=False)
    if found.best is None:
        errors = sorted({trial.error for trial in found.trials if trial.error})
        raise ZoetropeError(f"no trial came to a result. {errors[0] if errors else ''} See {found.folder / PAGE}.")
    console.print(f"\n[bold]{escape(_verdict(found, tune))}[/]")
    rows = {"recipe": found.folder / BEST, "weights": found.weights, "report": found.folder / PAGE}
    for name, path in rows.items():
        if path is not None:
            console.print(f"{name:<11} {path}", markup=False)
    console.print(f"{'run it':<11} {command(found.folder, recipe, tune)}", markup=False)
    browse = resolve(recipe.tracking.uri, recipe.store).ui_command
    console.print(f"{'compare':<11} {browse}", markup=False)
