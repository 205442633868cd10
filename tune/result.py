"""The result of a search: its trials and the best of them."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.recipe import Recipe
from tune.journal import Trial


@dataclass(frozen=True)
class SearchResult:
    """Result of a search. `trials`: best first; `best`: None when all failed; `weights`: of the best trial."""

    folder: Path
    trials: list[Trial]
    best: Trial | None
    recipe: Recipe | None
    weights: Path | None
