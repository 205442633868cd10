"""Where in a training an error came: a note on it, which travels to other processes and stands in its traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Reached:
    """How many optimizer steps are done; the training counts it on."""

    steps: int


@contextmanager
def noting_steps(steps: int) -> Iterator[Reached]:
    """Note on an error that leaves the block after how many steps it came, counted from `steps` on."""
    reached = Reached(steps)
    try:
        yield reached
    except Exception as error:
        error.add_note(f"after {reached.steps} steps")
        raise


def noted_steps(error: BaseException) -> str:
    """Return what `noting_steps` has noted, such as "after 12 steps"; before the first step nothing."""
    notes = getattr(error, "__notes__", ())
    return next((note for note in notes if note.startswith("after ") and note.endswith(" steps")), "")
