"""What each recipe of `recipes/` reaches and costs, out of its own first lines: `python -m docs.recipes`.

python -m docs.recipes > docs/recipes.md
"""

import re
from pathlib import Path

from pipeline.recipe import Recipe, load

ROOT = Path(__file__).parents[1]
HEAD = """\
# Recipes that come along

What each reaches, and how long it takes, in the words of its first lines, which have the details: the seed, the
machine, the data to fetch. Times are of two CPU cores; where a cell is empty, a recipe does not say. Written by
`python -m docs.recipes > docs/recipes.md`.

**Begin with `quickstart-...`**: they draw their own data. `images.yaml`, `videos.yaml`, `segmentation.yaml` and
`table...yaml` are for [data of your own](first-data-set.md), though `python -m pipeline init` writes a better one.
"""
RESULT = re.compile(
    r"^(Expected|Measured|Published|Not trained)|[Nn]o score|NOT trained|mIoU|PSNR \d|stays near chance"
)
"""What a sentence about a result has."""
NUMBER = r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d+)"
TIME = re.compile(rf"(?:under |about |some )?\b{NUMBER}(?: and a half)? (?:minutes?|hours?)(?: and a half)?")
MOST = 2
"""Sentences about a result."""


def page() -> str:
    """Return the page, Markdown."""
    paths = sorted((ROOT / "recipes").rglob("*.yaml"))
    recipes = {path: load(path) for path in paths}
    lines = [HEAD]
    for task in dict.fromkeys(recipe.task.kind for recipe in recipes.values()):
        lines += [f"## {task}", "", "| recipe | model | what to expect | time |", "|---|---|---|---|"]
        lines += [_row(path, recipe) for path, recipe in recipes.items() if recipe.task.kind == task]
        lines += [""]
    return "\n".join(lines)


def _row(path: Path, recipe: Recipe) -> str:
    name, words = path.relative_to(ROOT / "recipes").as_posix(), header(path)
    found = [TIME.search(sentence) for sentence in sentences(words)]
    time = "GPUs" if re.search(r"Use (a )?GPU", words) else next((one[0] for one in found if one), "")
    cells = (f"[{name.removesuffix('.yaml')}](../recipes/{name})", f"`{recipe.model.kind}`", result(words), time)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def header(path: Path) -> str:
    """Return the comment that a recipe begins with, in one line, without its commands."""
    lines = path.read_text(encoding="utf-8").partition("\nname:")[0].splitlines()
    texts = [line.lstrip("# ").partition("python -m ")[0] for line in lines if line.startswith("#")]
    return " ".join(" ".join(texts).split())


def sentences(text: str) -> list[str]:
    """Part a text at the ends of its sentences."""
    return re.split(r"(?<=[\w)%])\. (?=[A-Z.])", text.removesuffix("."))


def result(text: str) -> str:
    """Return what a recipe's first lines say of what it reaches, "" where they say nothing."""
    told = [one for one in sentences(text) if RESULT.search(one)]
    return ". ".join(one.removeprefix("Expected: ") for one in told[:MOST])


if __name__ == "__main__":
    print(page(), end="")
