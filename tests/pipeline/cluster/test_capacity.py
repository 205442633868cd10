from collections.abc import Callable
from typing import Any

import pytest

from pipeline.cluster import capacity
from pipeline.cluster.capacity import lacking, room_problem, sharing_warning
from pipeline.recipe import Recipe


@pytest.mark.parametrize(
    ("changes", "there", "expected"),
    [
        ({"gpus_per_worker": 1}, {"CPU": 4}, "2 x 1 GPU, and there are 0"),
        ({"gpus_per_worker": 1}, {"CPU": 4, "GPU": 1}, "2 x 1 GPU, and there are 1"),
        ({"gpus_per_worker": 1}, {"CPU": 4, "GPU": 2}, ""),
        ({"gpus_per_worker": 0.5}, {"CPU": 4, "GPU": 1}, ""),
        ({"gpus_per_worker": 0.6}, {"CPU": 4, "GPU": 1}, "2 x 0.6 GPU, and there are 1"),
        ({"gpus_per_worker": 0.6, "workers": 3}, {"CPU": 4, "GPU": 2}, "3 x 0.6 GPU, and there are 2"),  # 1.8 <= 2
        ({"gpus_per_worker": 0.1, "workers": 10}, {"CPU": 10, "GPU": 1}, ""),
        ({"gpus_per_worker": "auto"}, {"CPU": 4, "GPU": 1}, ""),  # on CPUs then
        ({"cpus_per_worker": 3}, {"CPU": 4}, "2 x 3 CPU, and there are 4"),
        ({"workers": {"min": 1, "max": 9}, "gpus_per_worker": 1}, {"CPU": 4, "GPU": 1}, ""),
    ],
)
def test_what_workers_lack(
    make_recipe: Callable[..., Recipe], changes: dict[str, Any], there: dict[str, float], expected: str
) -> None:
    cluster = {f"cluster.{key}": value for key, value in {"workers": 2, **changes}.items()}
    assert lacking(make_recipe("image", **{"train.batch_size": 16, **cluster}), there) == expected


def test_gpus_that_this_machine_has_not(make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(capacity, "_gpus_here", lambda: 1)
    asks = make_recipe("image", **{"cluster.workers": 2, "cluster.gpus_per_worker": 1})
    assert room_problem(asks).startswith(
        "cluster.gpus_per_worker: the training takes 2 x 1 GPU, and there are 1 on this machine. Set it to auto"
    )
    assert room_problem(make_recipe("image", **{"cluster.gpus_per_worker": 1})) == ""
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:6379")
    assert room_problem(asks) == ""  # the cluster may grow


def test_hidden_gpus_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "")
    assert capacity._gpus_here() == 0


@pytest.mark.parametrize(
    ("workers", "cpus", "warns"), [(4, 1, True), (2, 1, False), (2, 1.5, True), (1, 8, False), (2, 0.5, False)]
)
def test_workers_that_share_cores(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, workers: int, cpus: float, warns: bool
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(capacity, "cores", lambda: 2)
    recipe = make_recipe("image", **{"cluster.workers": workers, "cluster.cpus_per_worker": cpus})
    said = sharing_warning(recipe)
    assert (said is not None) == warns
    if workers == 4:
        assert said == (
            "cluster.workers: 4 workers ask for 4 CPUs and share the 2 of this machine, "
            "which is slower than fewer workers"
        )
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert sharing_warning(recipe) is None
