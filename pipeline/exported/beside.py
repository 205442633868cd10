"""What lies beside an exported file: labels, the preprocessing, an example that runs, and a model card."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from models.official import named
from pipeline.base.redact import redact_values
from pipeline.exported.answering import Exportable
from pipeline.exported.lineage import Lineage
from pipeline.recipe import Recipe, plain
from pipeline.tasks.base import Task

EXAMPLE = Path(__file__).with_name("example.py")


def about(recipe: Recipe, given: Exportable, any_size: bool) -> dict[str, Any]:
    """Say what the exported model takes and gives, in what JSON can hold.

    size: (height, width) in px; None where the model takes others, too
    short_side: of what is stored for training, at most, in px, before `steps`
    steps: what the evaluation does to a picture first, as albumentations' transforms
    white: the highest level of a pixel; mean and std are shares of it
    clip: which frames of a video; None for pictures. caches: shapes without the batch
    flow: of a model that looks at it: fields a frame from this frame on, x and y of each; levels 0 to 255 are
        -limit_px to limit_px of a video whose shorter side is at most short_side_px; what 0..1 is divided by, its mean
        being 0.5; and whether it is alone, as the `pixels`
    """
    clip = {"frames": recipe.clip.frames, "sampling": recipe.clip.sampling, "stride": recipe.clip.stride}
    flow = None
    if recipe.clip.flow is not None and recipe.shard.flow is not None:
        stored = {"short_side_px": recipe.stored_short_side, "limit_px": recipe.shard.flow.limit_px}
        flow = {"fields": recipe.clip.flow, **stored, "std": recipe.augment.flow_std, "alone": recipe.sees_flow_alone}
    return {
        "inputs": {name: _tensor(value) for name, value in given.inputs.items()},
        "outputs": list(given.outputs),
        "normalized_inside": given.module.normalizes,
        "colours": recipe.data.bands.colours,
        "white": recipe.data.bands.white,
        "mean": recipe.augment.mean,
        "std": recipe.augment.std,
        "size": None if any_size else list(given.size),
        "short_side": recipe.stored_short_side,
        "steps": recipe.augment.eval,
        "clip": clip if recipe.model.modality() == "video" else None,
        "caches": [list(value.shape[1:]) for name, value in given.inputs.items() if name.startswith("cache_")],
        **({"flow": flow} if flow else {}),
        **given.module.task.told(recipe.evaluate),
    }


def write_beside(
    out: Path, described: Mapping[str, Any], classes: list[str], card: str, example: bool, helper: Path | None = None
) -> None:
    """Write `labels.json`, `preprocessing.json`, `README.md` and, for a file that runs, `example.py`, and the task's
    `helper` where it has one.
    """
    (out / "labels.json").write_text(json.dumps(classes, indent=1, ensure_ascii=False), encoding="utf-8")
    (out / "preprocessing.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    if example:
        for script in (EXAMPLE, helper):
            if script is not None:
                shutil.copyfile(script, out / script.name)
    (out / "README.md").write_text(card, encoding="utf-8")


def write_card(recipe: Recipe, task: Task, origin: Lineage, file: str, found: str, classes: int) -> str:
    """Write a model card in Markdown; `found` says how the file was compared with the model."""
    split = {"val": "validation"}.get(origin.split, origin.split)
    views = recipe.evaluate.clips * recipe.evaluate.crops
    measured = [f"| {name} | {value:.4g} |" for name, value in origin.scores.items()]
    several = f" They are of the mean over {views} views a sample; the file answers one." if views > 1 else ""
    scores = (
        [f"| metric | {split} split |", "|---|---|", *measured] if measured else ["The store knows of none any more."]
    )
    values = yaml.safe_dump(redact_values(plain(recipe)), sort_keys=False)
    return "\n".join(
        [
            f"# {recipe.name}",
            "",
            f"`{file}`: a {recipe.model.kind} for {recipe.task.kind}, {classes} classes (`labels.json`).",
            "`preprocessing.json` says what goes in and comes out.",
            found,
            "",
            "## Scores",
            "",
            *scores,
            "",
            f"Measured on the model before it was exported, by {task.headline.title} first of all.{several}",
            "",
            "## Where it comes from",
            "",
            f"* data: {recipe.data.source.kind}; fingerprint of its shards {origin.data or 'not known any more'}",
            f"* training: fingerprint {origin.train or 'not known any more'}",
            f"* starting weights: {_start(recipe)}",
            "",
            "## Recipe",
            "",
            "```yaml",
            values.rstrip(),
            "```",
            "",
        ]
    )


def _start(recipe: Recipe) -> str:
    if recipe.model.weights is None:
        return "none, it was trained from scratch"
    if row := named(recipe.model.kind, recipe.model.weights):
        return f"`{row.name}`, {row.url}, {row.licence}; the data behind them may have terms of their own"
    shown = redact_values({"weights": recipe.model.weights})["weights"]
    return f"`{shown}`, whose licence is not recorded: look at where they come from"


def _tensor(value: Any) -> dict[str, Any]:
    return {"dtype": str(value.dtype).removeprefix("torch."), "shape": ["batch", *value.shape[1:]]}
