"""A recipe that suits what was looked at."""

import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.draft.look import Look
from pipeline.draft.machine import Machine, batch_size
from pipeline.draft.text import comments, section
from pipeline.recipe.json_schema import KEPT
from pipeline.tasks import class_of
from pipeline.tasks.suited import Facts, Starts

UNEVEN = 3
"""The most frequent class has so many times the samples of the rarest: then weights are offered."""
VALIDATIONS = 20
"""Of a training, about; so many checkpoints as well."""
MOST_BAD = 0.5
"""Share of samples that cannot be used and that a recipe may let pass."""


def draft(look: Look, machine: Machine, start: Starts, data: Path, out: Path, bad_share: float) -> str:
    """Write the recipe for `out`. It follows from its arguments alone.

    start:     name of a model -> its official weights that can be had, see `Facts.start`
    bad_share: of samples of which it is known that they cannot be used
    """
    facts = facts_of(look, machine, start)
    suited = class_of(look.task).suited(facts)
    frames = suited.sections.get("clip", {}).get("frames")
    shape = (3, *((frames,) if frames else ()), suited.side_px, suited.side_px)
    model = suited.sections["model"]
    batch = batch_size(machine, model, len(facts.classes), shape, facts.train)
    batch = min(batch, suited.most_batch or batch)
    every = f"{max(1, suited.epochs // VALIDATIONS)}ep"
    train = {"duration": f"{suited.epochs}ep", "batch_size": batch, "evaluate": every, "checkpoint": every}
    train |= {"precision": "bf16", "channels_last": True} if machine.gpu else {}
    why = {**suited.why, "train": f"{facts.train:,} training samples; {machine.words}"}
    offers = {name: list(lines) for name, lines in suited.offers.items()}
    if words := uneven(look):
        weighted = section("loss", {**suited.sections["loss"], "class_weights": "balanced"})
        offers.setdefault("loss", []).append(f"{weighted[0]}   # or so: {words}")
        offers.setdefault("train", []).append("train.sampling: {kind: balanced} shows every class as often")
    sections = {
        "name": name_of(data),
        "task": {"kind": look.task.kind, **look.guess.options},
        "data": _data(look, out, bad_share),
        **{key: value for key, value in suited.sections.items() if value or key in offers},
        "schedule": {"kind": "cosine", "warmup": "5%"},
        "train": train,
        **({"feed": {"workers": min(8, machine.cores - 1)}} if machine.cores > 2 else {}),
    }
    if look.split:
        why["data"] = "nothing says what is held out, so data.split does"
    head = comments(
        f"{name_of(data)}: {look.guess.words}, {facts.train:,} training samples. Written by python -m pipeline init; "
        "docs/recipe.md explains every key."
    )
    head += [f"#   python -m pipeline plan {out.name}", f"#   python -m pipeline run {out.name}"]
    head += [f"# yaml-language-server: $schema={KEPT}"]
    lines = [
        text for key, value in sections.items() for text in section(key, value, why.get(key, ""), offers.get(key, ()))
    ]
    return "\n".join([*head, *lines]) + "\n"


def facts_of(look: Look, machine: Machine, start: Starts) -> Facts:
    """Return what a task is told."""
    medians = {key: look.median(key) if look.task.modality == "video" else 0.0 for key in ("fps", "duration_s")}
    return Facts(
        look.task.modality,
        tuple(look.listing.classes()),
        look.train,
        int(look.median("width")),
        int(look.median("height")),
        **medians,
        gpu=machine.gpu,
        start=start,
    )


def uneven(look: Look) -> str:
    """Say how much more frequent the most frequent class is than the rarest; "" where they are about equal."""
    counts = Counter(name for one in look.listing.candidates if one.split == "train" for name in one.labels)
    if not counts or max(counts.values()) < UNEVEN * min(counts.values()):
        return ""
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    return f"{most} has {many / few:.0f} times the samples of {least}"


def name_of(data: Path) -> str:
    """Return a name for the recipe: the folder's, or that of the table's file."""
    stem = data.resolve().name if data.is_dir() else data.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:100] or "run"


def _data(look: Look, out: Path, bad_share: float) -> dict[str, Any]:
    data: dict[str, Any] = {"source": {key: _placed(value, out) for key, value in look.source.items()}}
    if look.split:
        data["split"] = dict(look.split)
    if look.lost:
        data["classes"] = {"keep": look.listing.classes()}
    if 0.01 < bad_share < MOST_BAD:
        data["max_bad"] = math.ceil(bad_share * 100 + 1) / 100
    return data


def _placed(value: Any, out: Path) -> Any:
    """Write a path below the recipe's folder relative to it; others, and what is no path, stay."""
    if isinstance(value, list):
        return [_placed(one, out) for one in value]
    folder = out.resolve().parent
    if not isinstance(value, str) or not os.path.isabs(value):
        return value
    return f"./{os.path.relpath(value, folder)}" if Path(value).is_relative_to(folder) else value
