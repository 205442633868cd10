import pickle
import traceback
from typing import Any

import pytest
from ray.exceptions import ActorDiedError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.tries import SameErrorTwice, Tries


class Training:
    """The controller's side of a training that fails: `say` hears of it."""

    def __init__(self, max_failures: int = 3) -> None:
        self.said: list[str] = []
        self.tries = Tries(self.said.append, max_failures)

    def fails(self, failures: dict[int, Exception]) -> None:
        self.tries.after_exception(None, failures)

    def writes_a_checkpoint(self) -> None:
        self.tries.after_report(None, [{}], object())


def broken(steps: int, message: str = "shapes differ\nmore") -> Exception:
    error = ValueError(message)
    error.add_note(f"after {steps} steps")
    return error


def death(preempted: bool = False) -> Exception:
    died: Any = ActorDiedError()
    died._preempted = preempted
    return WorkerHealthCheckFailedError("no answer", failure=died)


def test_errors_in_words_are_final() -> None:
    training = Training()
    with pytest.raises(ZoetropeError, match="diverged"):
        training.fails({0: RuntimeError("closed"), 1: ZoetropeError("diverged")})
    assert training.said == []


def test_the_same_error_at_the_same_place_is_final() -> None:
    training = Training()
    training.fails({0: broken(12)})
    assert training.said == [
        "train: training worker 0 failed after 12 steps: ValueError: shapes differ; "
        "it starts again from its last checkpoint"
    ]
    with pytest.raises(
        SameErrorTwice, match="after 12 steps, with no checkpoint in between: ValueError: shapes differ"
    ):
        training.fails({1: broken(12), 0: RuntimeError("connection closed by peer")})


@pytest.mark.parametrize("second", [broken(13), broken(12, "other"), RuntimeError("shapes differ"), death()])
def test_another_error_is_tried_again(second: Exception) -> None:
    training = Training()
    training.fails({0: broken(12)})
    training.fails({0: second})
    assert len(training.said) == 2


def test_an_error_after_a_checkpoint_is_tried_again() -> None:
    training = Training()
    training.fails({0: broken(12)})
    training.writes_a_checkpoint()
    training.fails({0: broken(12)})
    assert len(training.said) == 2


def test_deaths_are_tried_again_however_alike() -> None:
    training = Training(max_failures=2)
    for _ in range(3):
        training.fails({0: RuntimeError("connection closed by peer"), 1: death()})
    again = "it starts again from its last checkpoint"
    # The third is one too many, which is told when the training ends.
    assert (
        training.said
        == [f"train: training worker 1 died (killed, out of memory, or a crash in native code); {again}"] * 2
    )


def test_a_node_that_said_it_would_go_does_not_count() -> None:
    training = Training(max_failures=1)
    training.fails({0: death(preempted=True)})
    assert training.said == []
    training.fails({0: death()})
    assert len(training.said) == 1


def test_the_traceback_of_the_worker_travels() -> None:
    error = broken(3)
    error.add_note("Traceback: in the worker")
    again = pickle.loads(pickle.dumps(SameErrorTwice.of(error)))  # noqa: S301  made on the line itself
    assert "Traceback: in the worker" in "".join(traceback.format_exception(again))
