"""The verb `init`: looks at a folder, a table or tars, says what is there, and writes a recipe for it."""

import os
import shlex
import textwrap
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipeline.base.errors import ZoetropeError
from pipeline.base.plain_yaml import parse_yaml
from pipeline.draft.doubles import find_doubles
from pipeline.draft.look import Look, look
from pipeline.draft.machine import this_machine
from pipeline.draft.pretrained import start_of
from pipeline.draft.recipe import draft
from pipeline.draft.suspects import misnamed, sizes_of, tiny
from pipeline.draft.values import UnnamedColours
from pipeline.draft.words import facts, warnings
from pipeline.recipe.validate import check
from pipeline.sources.recognise import Tree, recognise, tree_of
from pipeline.stages.ingest import check_listing


def init(console: Console, data: str, out: Path, force: bool) -> None:
    """Look at `data`, print what is found, and write the recipe `out`.

    ZoetropeError for what is there already, for data that no source knows, and for data that cannot be trained on.
    """
    if "://" in data:
        raise ZoetropeError(
            f"{data} is a URL, and init looks at files of this machine; docs/sources.md has the recipe."
        )
    if out.exists() and not force:
        raise ZoetropeError(f"{out} is there already. --force writes over it, --out FILE writes another one.")
    path = Path(data).expanduser()
    if path.suffix in (".yaml", ".yml") and path.is_file():
        raise ZoetropeError(f"{data} is a recipe already: python -m pipeline plan {shlex.quote(data)}")
    if not path.exists():
        raise ZoetropeError(f"{data} does not exist.")
    found = _look(tree_of(path), out.resolve().with_name(f"{out.stem}-classes.txt"))
    sizes = sizes_of(found.listing.candidates)
    empty = [key for key, size in sizes.items() if size == 0]
    _show(console, facts(found))
    doubles = find_doubles(found.listing.candidates, sizes)
    for line in warnings(found, doubles, empty, misnamed(found.rows), tiny(found.rows)):
        console.print(escape(_wrapped("  ! ", line, console.width)))
    text = draft(found, this_machine(), start_of, path, out, bad_share(found, len(empty)))
    check_listing(check(parse_yaml(text), str(out), out.parent), found.listing)
    _write(out, text)
    recipe = shlex.quote(os.fspath(out))
    console.print(f"\n{out} is written. Look at it, then:", markup=False)
    console.print(f"  python -m pipeline preview {recipe}", markup=False)
    console.print(f"  python -m pipeline run {recipe}", markup=False)


def _look(tree: Tree, classes: Path) -> Look:
    """Look at the data. Colours of masks that nothing names get names in the file `classes`, unless it is there."""
    guess = recognise(tree)
    try:
        return look(tree, guess)
    except UnnamedColours as error:
        note = f"{error} {classes.name} has them: name them there"
        if not classes.exists():
            _write(classes, error.text)
        source = {**guess.source, "classes": str(classes)}
    return look(tree, replace(guess, source=source, notes=(*guess.notes, note)))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise ZoetropeError(f"{path} cannot be written: {error.strerror}.") from error


def bad_share(found: Look, empty: int) -> float:
    """Return the share of samples that surely cannot be used: refused by their names or empty, and of headers."""
    samples = len(found.listing.candidates) + len(found.listing.refused)
    looked = len(found.rows) + len(found.bad)
    broken = max(empty / samples, len(found.bad) / looked if looked else 0.0)
    return len(found.listing.refused) / samples + broken


def _show(console: Console, lines: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        console.print(escape(_wrapped(f"{name:<{width}}  ", text, console.width)))


def _wrapped(head: str, text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
