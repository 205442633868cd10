"""What a page says of one run: plain values for the template, out of what was gathered."""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact_values
from pipeline.graph.plan import leaves
from pipeline.report.gather import Told

MOST_CELLS = 30
"""Classes up to which the confusion is a table of all with all; of more, the pairs that are confused most."""
MOST_PAIRS = 40
MOST_LEFT_OUT = 50
SHEET_PX = 1000
STAGES = ("ingest", "shard", "train", "evaluate", "export")


class Metric(NamedTuple):
    """A metric for a person: its name, its number, and whether it is the headline."""

    name: str
    text: str
    first: bool


class Share(NamedTuple):
    """A bar: a name, its words, and its length in percent."""

    name: str
    words: str
    percent: float


def metrics(told: Told) -> list[Metric]:
    """Write all metrics as their task does, the headline first."""
    forms, first = told.details["measures"], told.details["metric"]
    ordered = sorted(told.measured, key=lambda name: name != first)
    return [Metric(name, number(told.measured[name], forms.get(name)), name == first) for name in ordered]


def number(value: float | None, form: str | None = None) -> str:
    """Write a number, "" where there is none."""
    return "" if value is None else (form or "{:.4g}").format(value)


def pictures(told: Told, places: Sequence[int]) -> list[dict[str, Any]]:
    """Return the samples that have a picture, each with what the page shows of it."""
    details, found = told.details, []
    for place in places:
        picture = details["pictures"].get(str(place))
        if picture:
            said = {name: details[name][place] if details[name] else "" for name in ("true", "said")}
            found.append({**picture, **said, "file": details["file"][place]})
    return found


def confusion(told: Told) -> dict[str, Any]:
    """Return the confusion matrix as a table, or its most frequent pairs; empty where the task has none."""
    table = told.table("confusion.csv")
    if len(table) < 2:
        return {}
    if len(table[0]) == 3:  # a row a pair
        pairs = [(true, said, int(count)) for true, said, count in table[1:] if true != said]
        return {"pairs": pairs[:MOST_PAIRS]}
    names, counts = table[0][1:], [[int(cell) for cell in row[1:]] for row in table[1:]]
    if len(names) > MOST_CELLS:
        found = [
            (row[0], names[j], count)
            for row, line in zip(table[1:], counts, strict=True)
            for j, count in enumerate(line)
            if count and row[0] != names[j]
        ]
        return {"pairs": sorted(found, key=lambda pair: -pair[2])[:MOST_PAIRS]}
    rows = [
        {
            "name": row[0],
            "cells": [(name, count, count / max(sum(line), 1)) for name, count in zip(names, line, strict=True)],
        }
        for row, line in zip(table[1:], counts, strict=True)
    ]
    return {"names": names, "rows": rows}


def balance(told: Told) -> dict[str, Any]:
    """Count the samples of each class and split."""
    path = told.file("dataset.json", "shard")
    if path is None:
        return {}
    content = json.loads(path.read_bytes())
    splits, classes = content["splits"], content["classes"]
    counts = {name: split["class_counts"] for name, split in splits.items()}
    largest = max((count for each in counts.values() for count in each), default=0) or 1
    rows = [
        {
            "name": name,
            "counts": [Share(split, f"{each[i]:,}", 100 * each[i] / largest) for split, each in counts.items()],
        }
        for i, name in enumerate(classes)
    ]
    return {
        "splits": [(name, f"{split['samples']:,}") for name, split in splits.items()],
        "rows": rows[:200],
        "more": max(len(rows) - 200, 0),
    }


def left_out(told: Told) -> dict[str, Any]:
    """List samples that could not be used, with reasons."""
    found = []
    for stage in ("shard", "train", "evaluate"):
        if path := told.file("quarantine.jsonl", stage):
            found += [json.loads(line) for line in path.read_text().splitlines()[:10_000] if line.strip()]
    reasons = Counter(str(row.get("reason", ""))[:120] for row in found)
    rows = [(row.get("stage", ""), row.get("split", ""), row.get("source", ""), row.get("reason", "")) for row in found]
    return {"count": len(found), "reasons": reasons.most_common(10), "rows": rows[:MOST_LEFT_OUT]} if found else {}


def time_spent(told: Told) -> list[Share]:
    """Say how long each stage took when it was made."""
    took = {stage: told.artifacts[stage].manifest.get("duration_s") for stage in STAGES if stage in told.artifacts}
    known = {stage: float(seconds) for stage, seconds in took.items() if seconds is not None}
    whole = sum(known.values()) or 1.0
    made = told.record.get("stages", {})
    notes = {stage: " (reused)" if made.get(stage, {}).get("status") == "reused" else "" for stage in known}
    return [Share(stage + notes[stage], f"{seconds:,.1f} s", 100 * seconds / whole) for stage, seconds in known.items()]


def speed(told: Told) -> list[tuple[str, str]]:
    """Say how fast training was, and how much of it waited for data: the median of the points."""
    from statistics import median

    curves, found = told.facts("train").get("curves", {}), []
    for name, title, form in (
        ("throughput/samples_per_s", "samples a second", "{:,.0f}"),
        ("throughput/data_wait", "share of the time that waits for data", "{:.0%}"),
    ):
        values = [value for value in curves.get(name, [[], []])[1] if value is not None]
        if values:
            found.append((title, form.format(median(values))))
    return found


def parent(told: Told) -> dict[str, Any]:
    """Say what differs from the recipe that this one extends, where its file is still there."""
    from pipeline.base.plain_yaml import parse_yaml
    from pipeline.recipe import load, plain

    path = recipe_path(told)
    with suppress(ZoetropeError, OSError, ValueError):
        if path and isinstance(base := parse_yaml(path.read_text()).get("extends"), str):
            older = plain(load(path.parent / base))
            return {"name": base, "rows": differences([older, told.values], skip=("name",))}
    return {}


def recipe_path(told: Told) -> Path | None:
    """Return the recipe's file that the run was started by, where it is still there."""
    for word in told.record.get("argv", ()):
        if word.endswith((".yaml", ".yml")) and Path(word).is_file():
            return Path(word)
    return None


def differences(recipes: Sequence[Mapping[str, Any]], skip: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
    """Return the keys that are not the same in all, with the value of each; "" where a recipe has none."""
    flat = [dict(leaves(redact_values(dict(values)))) for values in recipes]
    keys = list(dict.fromkeys(key for each in flat for key in each if key not in skip))
    return [
        (key, [_shown(each.get(key, "")) for each in flat])
        for key in keys
        if len({json.dumps(each.get(key), sort_keys=True, default=str) for each in flat}) > 1
    ]


def changes(told: Told) -> list[str]:
    """Return what was changed on the command line."""
    return [word for word in told.record.get("argv", ())[2:] if "=" in word and not word.startswith("-")]


def again(told: Told) -> dict[str, Any]:
    """Say how to do the same again: command, code, data, packages."""
    evaluated = told.artifacts.get("evaluate")
    manifest: Mapping[str, Any] = evaluated.manifest if evaluated else {}
    argv = told.record.get("argv", ())
    git = manifest.get("git") or {}
    environment = told.file("environment.txt", "train")
    return {
        "command": " ".join(["python -m pipeline", *argv[1:]]) if argv else "",
        "commit": git.get("commit", "") + (" (changed since)" if git.get("dirty") else ""),
        "host": told.record.get("host", ""),
        "artifacts": [(stage, told.artifacts[stage].fingerprint) for stage in STAGES if stage in told.artifacts],
        "environment": environment.read_text() if environment else "",
    }


def sheet(told: Told) -> str:
    """Return the figure of the first batch, smaller, as JPEG in base64; "" where there is none."""
    from PIL import Image

    from pipeline.report.details import jpeg

    path = told.file("figures/first_batch.png", "train")
    if path is None:
        return ""
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        small = picture.convert("RGB")
        small.thumbnail((SHEET_PX, 4 * SHEET_PX))
        return jpeg(small)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 300 else text[:300] + "…"
