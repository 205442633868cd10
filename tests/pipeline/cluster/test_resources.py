from collections.abc import Callable
from typing import Any

import pytest

from pipeline.cluster.resources import cpus, why_no_gpus
from pipeline.recipe import Recipe


@pytest.mark.parametrize(
    ("gpus", "joined", "changes", "expected"),
    [
        (0, True, {}, "train: on CPUs, since Ray has 0 GPUs now for 2 workers; where GPU machines start when"),
        (1, False, {}, "train: on CPUs, since Ray has 1 GPUs now for 2 workers; cluster.workers=1 gives each one"),
        (0, False, {}, ""),  # a laptop
        (2, True, {}, ""),  # used
        (0, True, {"cluster.gpus_per_worker": 1}, ""),  # asked for
        (0, True, {"cluster.gpus_per_worker": 0}, ""),  # not wanted
    ],
)
def test_why_no_gpus(
    make_recipe: Callable[..., Recipe], gpus: float, joined: bool, changes: dict[str, Any], expected: str
) -> None:
    said = why_no_gpus(make_recipe("image", **{"cluster.workers": 2, **changes}), gpus, joined)
    assert said.startswith(expected) if expected else said == ""


def test_cpus_of_workers_and_of_their_actors(make_recipe: Callable[..., Recipe]) -> None:
    changes = {"cluster.workers": {"min": 2, "max": 4}, "cluster.cpus_per_worker": 1.5}
    assert cpus(make_recipe("image", **changes, feed={"workers": 7})) == 3
    assert cpus(make_recipe("image", **changes, feed={"kind": "remote", "actors": 3, "workers": 4})) == 27
