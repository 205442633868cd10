"""The verb `predict`: exported models on new files. A table on a terminal, lines in a log, rows in a file."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from pipeline.base.errors import ZoetropeError
from pipeline.base.plain_yaml import parse_yaml
from pipeline.base.visible import visible
from pipeline.exported.files import named
from pipeline.exported.labels import check_labels, labelled
from pipeline.exported.model import load_model
from pipeline.exported.predictions import Prediction, predictions
from pipeline.exported.written import check_table, rows, table_of, write_table

SHOWN = 12
"""Rows of the table on a terminal: the newest."""
REFRESH_S = 0.2


@dataclass(frozen=True)
class Wanted:
    """How to predict, and where answers go; it travels to other nodes.

    views: keys of `evaluate`; save, draw: folders for files and for drawings, see `rows`; labels: see `labelled`
    """

    top: int = 1
    views: dict[str, object] = field(default_factory=dict)
    batch_size: int | None = None
    workers: int = 1
    out: Path | None = None
    save: Path | None = None
    draw: Path | None = None
    labels: Path | None = None


@dataclass
class Seen:
    """What has been shown, and how many files could not be used."""

    files: int = 0
    bad: int = 0
    began_s: float = field(default_factory=time.monotonic)

    @property
    def words(self) -> str:
        """Say it in a line."""
        rate = self.files / max(time.monotonic() - self.began_s, 1e-9)
        bad = f", {self.bad} of them cannot be used" if self.bad else ""
        return f"{self.files} file{'' if self.files == 1 else 's'}{bad}; {rate:.1f} files/s"


def views_of(texts: Iterable[str]) -> dict[str, object]:
    """Read `clips=3` and its like. ZoetropeError for what is no such thing."""
    views = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ZoetropeError(f"--views {text}: write KEY=VALUE, such as clips=3 or flip=true")
        try:
            views[key.strip()] = parse_yaml(value)
        except ValueError as error:
            raise ZoetropeError(f"--views {text}: the value is not valid YAML: {error}") from None
    return views


def predict(
    console: Console,
    models: list[str],
    files: list[str],
    wanted: Wanted,
    store: str | None = None,
    column: str | None = None,
) -> bool:
    """Predict files by the mean of some models; True when all of them could be used."""
    if wanted.out:
        check_table(wanted.out)
    model = load_model(*models, store=store, views=wanted.views)
    first = model.predictors[0]
    found = predictions(
        model.predictors,
        named(files, first.recipe.task.modality, column, first.recipe.data.bands),
        wanted.workers,
        wanted.top,
        wanted.draw is not None,
        wanted.batch_size,
    )
    if wanted.labels:
        check_labels(wanted.labels, first.task)
        found = labelled(wanted.labels, found, first.task.classes)
    seen = Seen()
    made = rows(shown(console, found, seen, quiet=wanted.out is not None), first.task, wanted.save, wanted.draw)
    if wanted.out:
        write_table(wanted.out, table_of(first.task, wanted.top, wanted.save is not None), made)
    else:
        deque(made, maxlen=0)
    console.print(seen.words, markup=False)
    return not seen.bad


def shown(console: Console, found: Iterable[Prediction], seen: Seen, quiet: bool = False) -> Iterator[Prediction]:
    """Show predictions as they pass: the newest in a table on a terminal; else a line each, `quiet`: of bad ones."""
    if not console.is_terminal:
        for each in found:
            _count(seen, each)
            if each.error is not None or not quiet:
                # By rich the tab would come out as blanks.
                print(f"{visible(each.file)}\t{visible(_said(each))}", file=console.file)
            yield each
        return
    newest: deque[Prediction] = deque(maxlen=SHOWN)
    with Live(console=console, auto_refresh=False, transient=quiet) as live:
        last_s = 0.0
        for each in found:
            _count(seen, each)
            newest.append(each)
            if time.monotonic() - last_s > REFRESH_S:
                live.update(_table(newest, seen), refresh=True)
                last_s = time.monotonic()
            yield each
        live.update(_table(newest, seen), refresh=True)


def _count(seen: Seen, each: Prediction) -> None:
    seen.files += 1
    seen.bad += each.error is not None


def _said(each: Prediction) -> str:
    return each.words if each.error is None else f"cannot be used: {each.error}"


def _table(newest: Iterable[Prediction], seen: Seen) -> Group:
    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="ellipsis", no_wrap=True)
    table.add_column("answer", overflow="ellipsis", no_wrap=True)
    for each in newest:
        table.add_row(
            escape(visible(each.file)), escape(visible(_said(each))), style="red" if each.error is not None else None
        )
    return Group(table, seen.words)
