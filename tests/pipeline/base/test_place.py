import pickle

import pytest

from pipeline.base.place import noted_steps, noting_steps


def fail(error: Exception) -> None:
    with noting_steps(0) as reached:
        reached.steps = 12
        raise error


def test_the_place_travels_with_the_error() -> None:
    error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        fail(error)
    error.add_note("after lunch")
    assert noted_steps(pickle.loads(pickle.dumps(error))) == "after 12 steps"  # noqa: S301  made on the line
    assert noted_steps(ValueError("broken")) == ""
