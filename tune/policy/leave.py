"""What a search for a policy leaves in its folder, and in MLflow."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from augment.policy import Policy, Schedule
from pipeline.base.redact import redact_values
from pipeline.recipe import Recipe, plain
from tune.policy.figure import operations_and_magnitudes, schedule_over_epochs, shares
from tune.policy.population import transform
from tune.policy.recipes import auto_augment, with_transform, write_policy, write_schedule
from tune.tracking import PARENT

POLICY, SCHEDULE, BEST, FIGURE, PAGE = "policy.yaml", "schedule.yaml", "best.yaml", "figures/policy.png", "policy.md"


def leave(recipe: Recipe, policy: Policy, folder: Path, kind: str, table: str, tracker: Any) -> None:
    """Write the policy, the recipe with it, the figure and a page with `table`; `tracker`'s parent run gets them."""
    (folder / FIGURE).parent.mkdir(exist_ok=True)
    title = f"{recipe.name}: policy found by {kind}"
    about = {"found by": f"{kind}, in {folder.name}", "use it": f"AutoAugment: {{policy: {POLICY}}}"}
    write_policy(policy, folder / POLICY, about)
    _write_best(with_transform(recipe, auto_augment(recipe, policy)), folder, title)
    operations_and_magnitudes(policy, folder / FIGURE, title)
    often = sorted(shares(policy).items(), key=lambda item: -item[1])
    lines = [
        f"# {title}",
        "",
        f"{len(policy)} sub-policies.",
        "",
        table,
        "",
        "| operation | times a sample |",
        "|---|---|",
    ]
    lines += [f"| {name} | {share:.2f} |" for name, share in often if share]
    (folder / PAGE).write_text("\n".join([*lines, "", f"![]({FIGURE})", ""]))
    tracker.files.remote(PARENT, {name: folder / name for name in (POLICY, BEST, FIGURE, PAGE)})


def leave_schedule(recipe: Recipe, schedule: Schedule, folder: Path, tracker: Any) -> None:
    """Write the schedule, the recipe with it, and the figure; `tracker`'s parent run gets them."""
    (folder / FIGURE).parent.mkdir(exist_ok=True)
    title = f"{recipe.name}: schedule found by pba"
    about = {"found by": f"pba, in {folder.name}", "use it": f"PopulationBased: {{schedule: {SCHEDULE}}}"}
    write_schedule(schedule, folder / SCHEDULE, about)
    _write_best(with_transform(recipe, transform(recipe, schedule)), folder, title)
    schedule_over_epochs(schedule, folder / FIGURE, title)
    tracker.files.remote(PARENT, {name: folder / name for name in (SCHEDULE, BEST, FIGURE)})


def _write_best(made: Recipe, folder: Path, title: str) -> None:
    values = {key: value for key, value in plain(made).items() if key != "tune"}
    head = f"# {title}.\n# python -m pipeline run {shlex.quote(str(folder / BEST))}\n"
    (folder / BEST).write_text(head + yaml.safe_dump(redact_values(values), sort_keys=False))
