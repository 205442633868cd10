"""`python -m tune RECIPE [key=value ...] [--resume]`."""

import time
from typing import Annotated

import typer

from pipeline.cli import Allow, Overrides, RecipePath, Verbs, console, load


class Search(Verbs):
    """A search is a new one unless it is told otherwise."""

    stopped = "Stopped. The same command with --resume goes on from here."


app = typer.Typer(cls=Search, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def verbs() -> None:
    """Search over recipe keys, as the recipe's section `tune` says."""


@app.command(name="tune", epilog="Example: python -m tune recipes/tune-quickstart.yaml")
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last search of this recipe.")] = False,
    packages: Allow = None,
) -> None:
    """Search over recipe keys, as the recipe's section `tune` says."""
    began = time.monotonic()
    checked = load(recipe, overrides)
    if checked.tune is not None and checked.tune.policy is not None:
        from tune.policy.run import search_policy

        search_policy(checked, checked.tune, console, resume)
        return
    from tune.space import check_tune

    tune = check_tune(checked)
    from tune.search import search
    from tune.search_report import show

    found = search(checked, console, resume)
    show(console, found, checked, tune, time.monotonic() - began)


def main() -> None:
    """Run `python -m tune`: there is one verb, `tune`, so that help reads as what was typed."""
    import sys

    app(["tune", *sys.argv[1:]], prog_name="python -m")
