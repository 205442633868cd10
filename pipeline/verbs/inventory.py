"""What `ls` and `gc` print: the runs and artifacts of a store, and what would go."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from pipeline.base.redact import redact
from pipeline.store.artifact import Holding, Store
from pipeline.store.garbage import DAY_S, Garbage
from pipeline.verbs.compare import differences, manifests_of, measured, score

SHORT = 12
"""Digits shown of a fingerprint."""


def show_store(console: Console, store: Store) -> None:
    """Print runs, newest first, with scores, and all that takes room: sizes, ages, and what each was made from."""
    records, holdings, pins, now_s = store.records(), store.holdings(), store.pins(), time.time()
    if not records and not holdings:
        console.print(f"{redact(store.url)} holds nothing.", markup=False)
        return
    runs = _table("run", "status", "age", "score", "differs in", "stages")
    manifests = manifests_of(holdings)
    apart = differences(records, manifests)
    for record in records:
        pinned = " (pinned)" if {record.name, record.content.get("name")} & pins else ""
        runs.add_row(
            record.name + pinned,
            str(record.content.get("status", "?")),
            _age(now_s - record.modified_s),
            score(record, manifests),
            apart[record.name],
            _stages(record.content.get("stages", {})),
        )
    console.print(runs, soft_wrap=False)
    things = _table("stage", "fingerprint", "size", "age", "made from", "by run")
    for holding in sorted(holdings, key=lambda holding: (holding.kind, holding.stage, -holding.modified_s)):
        things.add_row(*_row(holding, pins, now_s))
    console.print(things, soft_wrap=False)
    size = sum(holding.bytes for holding in holdings)
    console.print(f"{len(records)} run{'' if len(records) == 1 else 's'}, {decimal(size)} in all")


def print_runs(store: Store) -> None:
    """Print a line of JSON for each run, newest first, for scripts: what its evaluation measured, and its stages."""
    manifests = manifests_of(store.holdings())
    for record in store.records():
        stages = {
            name: {key: stage.get(key) for key in ("status", "fingerprint")}
            for name, stage in record.content.get("stages", {}).items()
        }
        told = {key: record.content.get(key) for key in ("name", "status")}
        print(json.dumps({"run": record.name, **told, "metrics": measured(record, manifests), "stages": stages}))


def show_garbage(console: Console, garbage: Garbage, dry_run: bool) -> None:
    """Print what goes, and how much; what is kept, in a line a reason."""
    now_s = time.time()
    if not garbage.remove:
        console.print("Nothing to remove.")
        return
    things = _table("stage", "fingerprint", "size", "age", "made from", "by run")
    for holding in sorted(garbage.remove, key=lambda holding: (holding.kind, holding.stage, -holding.modified_s)):
        things.add_row(*_row(holding, frozenset(), now_s))
    console.print(things, soft_wrap=False)
    would = "would be removed; --delete removes it" if dry_run else "is removed"
    kept = sum(holding.bytes for holding, _ in garbage.keep)
    console.print(f"{decimal(garbage.bytes)} {would}. {decimal(kept)} {_in_things(garbage.keep)} stays.")


def _in_things(keep: Iterable[tuple[Holding, str]]) -> str:
    count = len(list(keep))
    return f"in {count} artifact{'' if count == 1 else 's'} and unfinished work"


def _row(holding: Holding, pins: frozenset[str], now_s: float) -> tuple[str, ...]:
    manifest = holding.manifest or {}
    made_from = ", ".join(f"{name} {made['fingerprint'][:SHORT]}" for name, made in manifest.get("inputs", {}).items())
    what = {"artifact": "", "work": " (unfinished)", "left over": " (left over)"}[holding.kind]
    if holding.kind == "artifact" and not manifest:
        what = " (manifest unreadable)"
    pinned = " (pinned)" if holding.fingerprint in pins else ""
    return (
        holding.stage + what,
        holding.fingerprint[:SHORT] + pinned,
        decimal(holding.bytes),
        _age(now_s - holding.modified_s),
        made_from,
        str(manifest.get("run", "")),
    )


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Say how the stages of a run fared, but for those that were there already: "made train, evaluate"."""
    by_status: dict[str, list[str]] = {}
    for name, stage in stages.items():
        by_status.setdefault(str(stage.get("status") or "not begun"), []).append(name)
    reused = by_status.pop("reused", [])
    told = "; ".join(f"{status} {', '.join(names)}" for status, names in by_status.items())
    return told or ("all reused" if reused else "")


def _age(seconds: float) -> str:
    for name, length_s in (("d", DAY_S), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in ("size", "age") else "left", overflow="fold")
    return table
