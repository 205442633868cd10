"""What checks look at, and what they say."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline.base.errors import ZoetropeError
from pipeline.base.job import default_store
from pipeline.recipe import Recipe, load


class Found(NamedTuple):
    """One thing: right, worth knowing or wrong; what there is, and the command or the change that mends it."""

    state: Literal["right", "note", "wrong"]
    what: str
    mend: str = ""


@dataclass(frozen=True)
class Looked:
    """What is looked at: a recipe and changes of it, or, without one, this machine alone."""

    path: Path | None = None
    changes: tuple[str, ...] = ()

    @cached_property
    def checked(self) -> Recipe | ZoetropeError | None:
        """The recipe, or what is wrong with it; None where there is none."""
        try:
            return load(self.path, self.changes) if self.path else None
        except ZoetropeError as error:
            return error

    @property
    def recipe(self) -> Recipe | None:
        """The recipe, where there is one that can be read."""
        found: Any = self.checked
        return None if isinstance(found, ZoetropeError) else found

    @property
    def store(self) -> str:
        """The store: the recipe's, or the usual one."""
        return self.recipe.store if self.recipe else default_store()


Check = Callable[[Looked], Iterable[Found]]
