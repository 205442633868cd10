"""The page: one HTML file of at most 2 MB, for one run or for several side by side. It asks no network."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.base.redact import redact_values
from pipeline.report import contents
from pipeline.report.compare import paired, per_class
from pipeline.report.details import DOUBTS, curves_svg
from pipeline.report.gather import Told

MOST_BYTES = 2_000_000
"""Of a page."""
CHART_BYTES = 250_000
"""Of one chart; a larger one is left out, and lies among the figures."""
FLIPPED = 24
TITLES = {
    "curves": "Curves",
    "average_precision": "Average precision of each class",
    "precision_recall": "Precision over recall",
    "f1": "F1 over the score",
    "sizes": "By size",
    "errors": "Kinds of errors",
    "psnr": "PSNR before and after",
    "reliability": "",
}


def one_run(told: Told) -> str:
    """Write the page of a run."""
    details = told.details
    listed = details["listed"]
    doubts = listed.get("doubts", [])
    charts = {name: text for name, text in details["charts"].items() if len(text) <= CHART_BYTES}
    calibration = details["calibration"]
    values: dict[str, Any] = {
        "told": told,
        "title": told.name,
        "metrics": contents.metrics(told),
        "errors": contents.pictures(told, listed["errors"]),
        "doubts": contents.pictures(told, doubts[:DOUBTS]),
        "doubtful": [_named(details, place) for place in doubts],
        "confusion": contents.confusion(told),
        "classes": told.table("per_class.csv"),
        "calibration": calibration,
        "numbers": {name: contents.number(value) for name, value in calibration["numbers"].items()}
        if calibration
        else {},
        "charts": [(TITLES.get(name, name), text) for name, text in charts.items() if TITLES.get(name, name)],
        "reliability": charts.get("reliability", ""),
        "balance": contents.balance(told),
        "sheet": contents.sheet(told),
        "left_out": contents.left_out(told),
        "time": contents.time_spent(told),
        "speed": contents.speed(told),
        "parent": contents.parent(told),
        "changes": contents.changes(told),
        "recipe": yaml.safe_dump(redact_values(told.values), sort_keys=False) if told.values else "",
        "again": contents.again(told),
    }
    return _fitted("run.html", values, ("errors", "doubts"))


def side_by_side(runs: Sequence[Told]) -> str:
    """Write the page of several runs; each is compared with the first, sample by sample."""
    measure, classes = per_class([told.table("per_class.csv") for told in runs])
    curves = {told.name: told.facts("train").get("curves", {}) for told in runs}
    drawn = curves_svg({name: each for name, each in curves.items() if each}) if any(curves.values()) else ""
    values: dict[str, Any] = {
        "runs": runs,
        "title": " · ".join(told.name for told in runs),
        "metrics": _metrics(runs),
        "recipes": contents.differences([told.values for told in runs], skip=("name",)),
        "measure": measure,
        "classes": classes,
        "pairs": [_pair(runs[0], told) for told in runs[1:]],
        "curves": drawn if len(drawn) <= 2 * CHART_BYTES else "",
        "times": [contents.time_spent(told) for told in runs],
        "speeds": [contents.speed(told) for told in runs],
    }
    return _fitted("comparison.html", values, ())


def _metrics(runs: Sequence[Told]) -> list[tuple[str, list[str], int]]:
    """Return a row a metric: its name, each run's number, and which is best (-1: all alike)."""
    forms, less = runs[0].details["measures"], set(runs[0].details["less_is_better"])
    found = []
    for name in (metric.name for metric in contents.metrics(runs[0])):
        values = [told.measured.get(name) for told in runs]
        known = [value for value in values if value is not None]
        best = min(known) if name in less else max(known)
        place = values.index(best) if len(set(values)) > 1 and name in forms else -1
        found.append((name, [contents.number(value, forms.get(name)) for value in values], place))
    return found


def _pair(first: Told, other: Told) -> dict[str, Any]:
    found = paired(first.details, other.details)
    form = other.details["judged"]["form"]
    signed = form.replace("{:", "{:+")
    if found is None:
        return {"names": (first.name, other.name), "found": None}
    return {
        "names": (first.name, other.name),
        "what": other.details["judged"]["name"],
        "found": found,
        "mean": signed.format(found.mean),
        "interval": f"{signed.format(found.low)} to {signed.format(found.high)}",
        "sure": found.low > 0 or found.high < 0,
        "changed": [
            (title, count, _changed(first, other, places, signed))
            for title, count, places in (
                ("Worse than before", len(found.lost), found.lost),
                ("Better than before", len(found.gained), found.gained),
            )
        ],
    }


def _changed(first: Told, other: Told, places: Sequence[tuple[int, int, float]], signed: str) -> list[dict[str, Any]]:
    """Return the samples that changed most, those first that have a picture in either evaluation."""

    def row(before: int, after: int, change: float) -> dict[str, Any]:
        picture = other.details["pictures"].get(str(after)) or first.details["pictures"].get(str(before)) or {}
        was, now = (
            each.details["said"][place] if each.details["said"] else ""
            for each, place in ((first, before), (other, after))
        )
        true = other.details["true"][after] if other.details["true"] else ""
        named = {"file": other.details["file"][after], "true": true, "was": was, "now": now}
        shown = {"jpeg": picture.get("jpeg", ""), "width": picture.get("width", 0)}
        return {**shown, "change": signed.format(change), **named}

    rows = [row(*place) for place in places[: 4 * FLIPPED]]
    return sorted(rows, key=lambda row: not row["jpeg"])[:FLIPPED]


def _named(details: Mapping[str, Any], place: int) -> dict[str, str]:
    true, said = (details[name][place] if details[name] else "" for name in ("true", "said"))
    return {"file": details["file"][place], "true": true, "said": said}


def _fitted(template: str, values: dict[str, Any], lists: Sequence[str]) -> str:
    """Render; where the page is too large, with fewer pictures, and at last without the largest parts."""
    page = _template(template).render(values)
    while len(page.encode()) > MOST_BYTES and any(values[name] for name in lists):
        for name in lists:
            values[name] = values[name][: len(values[name]) // 2]
        page = _template(template).render(values)
    for name, empty in (("sheet", ""), ("charts", []), ("classes", []), ("curves", "")):
        if len(page.encode()) > MOST_BYTES and name in values:
            values[name] = empty
            page = _template(template).render(values)
    return page


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _short(cell: Any) -> Any:
    """Write a share of a table, such as 0.6666666666666666, in few digits."""
    return f"{float(cell):.4g}" if isinstance(cell, str) and "." in cell and _is_number(cell) else cell


@cache
def _template(name: str) -> Any:
    folder = Path(__file__).parent / "page"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(numeric=_is_number, short=_short)
    environment.globals["inlined"] = lambda file: (folder / file).read_text(encoding="utf-8")
    return environment.get_template(name)


def page_of(runs: Sequence[Told]) -> str:
    """Write the page of one run, or of several."""
    return one_run(runs[0]) if len(runs) == 1 else side_by_side(runs)
