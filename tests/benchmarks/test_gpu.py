"""The whole benchmark on the CPU, so that it is known to run when there is a GPU."""

import json
import math
from functools import partial
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_together import norms_differ_by
from benchmarks.gpu_trainings import TRAININGS
from pipeline.training.distributed import Process


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here and in processes that are started."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def answer(said: str) -> dict[str, Any]:
    """The line of JSON."""
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@pytest.mark.slow
def test_all_of_it_runs(on_the_cpu: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # All of the compiler but its last stage, which would build C++ for half a minute
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    assert gpu.main([]) == 0
    found = answer(capsys.readouterr().out)
    assert found["trainings"].keys() == TRAININGS.keys()
    for one in found["trainings"].values():
        assert one["ratio"] == one["ours"]["samples_per_s"] / one["bare"]["samples_per_s"] > 0
        assert len(one["ours"]["losses"]) == 2
        assert all(map(math.isfinite, one["ours"]["losses"]))
    for one in found["families"].values():
        for precision in ("fp32", "bf16"):
            assert all(one[precision][way]["of_peak"] > 0 for way in ("forward", "step"))
    assert len(found["families"]) == 2
    losses = {name: one["ours"]["losses"][0] for name, one in found["trainings"].items()}
    assert losses["images, bf16, compiled"] == pytest.approx(losses["images, bf16"], rel=0.05)
    assert 0 < found["bf16_loss_off"] < 0.05
    assert (found["together"]["backend"], found["together"]["world"]) == ("gloo", 2)
    assert found["together"]["ddp_over_alone"] > 0
    assert "on GPUs only" in found["together"]["sync_bn"]


def test_nothing_begins_after_the_minutes(on_the_cpu: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--minutes", "0"]) == 0
    found = answer(capsys.readouterr().out)
    assert all("left_out" in one for one in (*found["trainings"].values(), *found["families"].values()))
    assert "left_out" in found["together"]


def test_what_fails_is_told_and_the_rest_goes_on(
    on_the_cpu: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "compare", lambda name, *_: 1 / 0)
    monkeypatch.setattr(gpu, "together", lambda size: {"world": 2})
    assert gpu.main([]) == 1
    found = answer(capsys.readouterr().out)
    assert {one["error"] for one in found["trainings"].values()} == {"ZeroDivisionError: division by zero"}
    assert found["together"] == {"world": 2}


def test_a_norm_over_one_rank_is_that_over_all() -> None:
    assert norms_differ_by(Process()) < 1e-5
