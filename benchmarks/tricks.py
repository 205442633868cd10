"""What training tricks bring on CIFAR-10: the recipes of `recipes/tricks/`, several seeds each.

    python -m benchmarks.tricks FOLDER [--store runs-tricks] [--seeds 3] [--train 900] [--val 500]
    python -m benchmarks.tricks FOLDER --table few --store runs-few --seeds 5 --train 100

FOLDER has a folder of images for each class; the first `--train` of each, in the order of their names, are trained on,
and the last `--val` are held out. Prints the held-out top-1 as mean and standard deviation of the seeds, and the
difference to what the trick was added to, seed by seed. What the store has is not trained again: a run that was ended
goes on where it was. The second command is of few images and many epochs; a store has images of one number only.
"""

import argparse
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pipeline.recipe import load
from pipeline.store import Artifact
from pipeline.verbs.driver import drive
from pipeline.verbs.planning import make_plan

RECIPES = Path(__file__).parents[1] / "recipes" / "tricks"
TABLES = {
    "all": {
        "cosine": "baseline",
        "label-smoothing": "cosine",
        "mixup": "cosine",
        "ricap": "cosine",
        "autoaugment": "cosine",
        "distillation": "cosine",
    },
    "few": {"few-mixup": "few", "few-ricap": "few"},
}
"""What each recipe of a table was added to."""


def choose(folder: Path, to: Path, train: int, val: int) -> None:
    """Copy the images that take part into `to`/train and `to`/val; `to` comes into being whole."""
    new = to.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    for images in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(images.iterdir())
        if len(files) < train + val:
            raise SystemExit(f"{images} has {len(files)} images, not {train} + {val}")
        for part, chosen in (("train", files[:train]), ("val", files[-val:])):
            (new / part / images.name).mkdir(parents=True)
            for file in chosen:
                shutil.copy(file, new / part / images.name)
    new.rename(to)


def make(name: str, overrides: list[str], last: str) -> Artifact:
    """What the stage `last` makes of a recipe; only what is not there is run."""
    recipe = load(RECIPES / f"{name}.yaml", overrides)
    plan, store = make_plan(recipe)
    names = [step.stage.name for step in plan.steps]
    steps = plan.steps[: names.index(last) + 1] if last == "train" else plan.steps
    if any(step.artifact is None for step in steps):
        drive(recipe, replace(plan, steps=steps), store, Console())
        plan, _ = make_plan(recipe)
    artifact = plan.steps[names.index(last)].artifact
    assert artifact is not None
    return artifact


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", choices=TABLES, default="all")
    parser.add_argument("--store", type=Path, default=Path("runs-tricks"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=900)
    parser.add_argument("--val", type=int, default=500)
    asked = parser.parse_args()
    images = asked.store.resolve() / "images"
    if not images.exists():
        choose(asked.folder, images, asked.train, asked.val)
    common = [f"store={asked.store.resolve()}", f"data.source.path={images}"]
    added_to = TABLES[asked.table]
    teacher = make("teacher", common, "export").path / "model" if "distillation" in added_to else None
    found: dict[str, list[float]] = {name: [] for name in dict.fromkeys([*added_to.values(), *added_to])}
    for seed in range(asked.seeds):
        for name, values in found.items():
            overrides = [*common, f"seed={seed}"]
            if name == "distillation":
                overrides.append(f"loss.distill.teacher={teacher}")
            values.append(100 * make(name, overrides, "train").facts["val/top1"])
            print(f"seed {seed}, {name}: {values[-1]:.1f} %", flush=True)
    show(found, added_to)


def show(found: dict[str, list[float]], added_to: dict[str, str]) -> None:
    """The table."""
    print(f"{'':16} {'top-1':>6} {'+-':>4}  {'seeds':18} {'difference':>10} {'+-':>4}  to")
    for name, values in found.items():
        line = f"{name:16} {statistics.mean(values):6.1f} {statistics.stdev(values):4.1f}"
        line += f"  {', '.join(f'{value:.1f}' for value in values):18}"
        if to := added_to.get(name):
            differences = [value - other for value, other in zip(values, found[to], strict=True)]
            line += f" {statistics.mean(differences):+10.1f} {statistics.stdev(differences):4.1f}  {to}"
        print(line)


if __name__ == "__main__":
    main()
