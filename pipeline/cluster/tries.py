"""Which failures of a training are worth another try. Ray Train retries what a worker raises, `max_failures` times."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.exceptions import RayError
from ray.train import UserCallback

from pipeline.base.errors import ZoetropeError
from pipeline.base.place import noted_steps


class SameErrorTwice(RuntimeError):
    """What a worker has raised twice at one place."""

    @classmethod
    def of(cls, error: Exception) -> "SameErrorTwice":
        """Make it with the notes of `error`, where its worker has put its traceback, which does
        not travel by itself.
        """
        place = noted_steps(error) or "before the first step"
        made = cls(f"{place}, with no checkpoint in between: {first_line(error)}")
        for note in getattr(error, "__notes__", ()):
            made.add_note(note)
        return made


class Tries(UserCallback):
    """Ends a training whose error will come again, and says why another one is started once more.

    An error comes again when it is one in words, or when it came twice after the same steps and no checkpoint was
    written in between. The death of a worker says nothing of that.
    """

    def __init__(self, say: Callable[[str], Any], max_failures: int) -> None:
        """Take `say`, which takes a sentence for the user, in the controller: all of it travels there."""
        self._say, self._left = say, max_failures
        self._before: set[tuple[str, str]] = set()

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """Count a written checkpoint as progress."""
        self._before = set()

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise the error in the controller, which takes an error of its own as final."""
        for error in worker_exceptions.values():
            if isinstance(error, ZoetropeError):
                raise error
        dead = deaths(worker_exceptions)
        marks = {} if dead else {(first_line(error), noted_steps(error)): error for error in worker_exceptions.values()}
        for known in self._before & marks.keys():
            raise SameErrorTwice.of(marks[known])
        self._before = set(marks)
        if any(getattr(death, "preempted", False) for death in dead.values()):
            return  # it was said by the notice, and does not count
        self._left -= 1
        if self._left >= 0:
            self._say(f"train: {failure_words(worker_exceptions)}; it starts again from its last checkpoint")


def deaths(failures: Mapping[int, Exception]) -> dict[int, RayError]:
    """Return what Ray says of each rank whose process died; to the others that is a lost connection."""
    found = {rank: getattr(error, "health_check_failure", None) for rank, error in failures.items()}
    return {rank: error for rank, error in found.items() if isinstance(error, RayError)}


def failure_words(failures: Mapping[int, Exception]) -> str:
    """Return what happened, in a line: a worker's death, else what the first one raised."""
    for rank in deaths(failures):
        return f"training worker {rank} died (killed, out of memory, or a crash in native code)"
    rank, error = next(iter(failures.items()))
    return f"training worker {rank} failed {noted_steps(error) or 'before its first step'}: {first_line(error)}"


def first_line(error: Exception) -> str:
    """Return its type and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
