"""What a verb prints: the plan, the table of stages, the result and the next commands."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.graph import Plan
from pipeline.recipe import Recipe
from pipeline.store import Artifact

if TYPE_CHECKING:
    from pipeline.execute import StageResult


def show_plan(console: Console, plan: Plan) -> None:
    """A line a stage: reused or to be run, and why; the last line says how many have something to do."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for step in plan.steps:
        why = "; ".join(step.reasons) if step.action == "run" else "is there"
        note = f"\n{step.note}" if step.note else ""
        table.add_row(step.stage.name, "run" if step.action == "run" else "reuse", escape(why + note))
    console.print(table)
    count = len(plan.to_run)
    console.print(f"{count} stage{'' if count == 1 else 's'} to run")


def show_stages(console: Console, results: "Sequence[StageResult]", total_s: float) -> None:
    """What each stage did, and how long it took."""
    table = Table(title=None)
    table.add_column("stage")
    table.add_column("")
    table.add_column("seconds", justify="right")
    table.add_column("what", overflow="fold")
    for result in results:
        made = result.action == "made"
        table.add_row(
            result.stage, result.action, f"{result.duration_s:.1f}" if made else "", _facts(result.artifact.facts)
        )
    table.add_section()
    table.add_row("in all", "", f"{total_s:.1f}", "")
    console.print(table)


def _facts(facts: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in facts.items()
        if isinstance(value, int | float)
    )


def show_result(console: Console, recipe: Recipe, artifacts: Mapping[str, Artifact], recipe_path: str) -> None:
    """The score, where everything is, and what to type next."""
    from pipeline.tracking.address import resolve

    console.print(f"\n[bold]top-1 {artifacts['evaluate'].facts['top1']:.1%}[/]")
    console.print(f"evaluation  {artifacts['evaluate'].url}")
    console.print(f"model       {artifacts['export'].url}")
    console.print("\nBrowse the results:")
    console.print(f"  {escape(resolve(recipe.tracking.uri, recipe.store).ui_command)}")
    console.print("Train longer:")
    console.print(f"  python -m pipeline run {escape(recipe_path)} train.duration={_longer(recipe)}")


def _longer(recipe: Recipe) -> str:
    duration = recipe.train.duration
    return f"{2 * duration.amount}{duration.unit}"
