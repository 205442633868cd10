"""Stages by themselves, without Ray: their context, and what they tell the user."""

from pathlib import Path

from pipeline.graph.plan import Context
from pipeline.graph.progress import Reporter
from pipeline.recipe import Recipe
from pipeline.store import Artifact


class Told(Reporter):
    """Keeps what a stage tells the user."""

    def __init__(self) -> None:
        super().__init__("stage")
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def a_context(recipe: Recipe, folder: Path, **inputs: Artifact) -> Context:
    """Of a stage that works in `folder/out` and `folder/scratch`."""
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Context(recipe, inputs, folder / "out", folder / "scratch", "0" * 32, None, Told(), folder, {})


def said(context: Context) -> list[str]:
    """What the stage of `a_context` has told the user."""
    assert isinstance(context.progress, Told)
    return context.progress.said
