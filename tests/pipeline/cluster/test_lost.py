import atexit
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from pipeline.cluster import lost
from pipeline.cluster.lost import RayLostError, signals_end_the_block


def wait_until_interrupted(what: Any, died: list[str]) -> None:
    with signals_end_the_block() as lost:
        assert lost == []
        try:
            what()
            time.sleep(600)
        finally:
            assert lost == died


def test_the_death_of_a_process_of_rays_ends_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[Any] = []
    monkeypatch.setattr(atexit, "register", lambda *call: ends.append(call))
    monkeypatch.setattr(lost, "OURS", ("sleep",))
    monkeypatch.setattr(lost, "LOOK_S", 0.01)
    child = subprocess.Popen(["/bin/sleep", "600"])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RayLostError, match="Ray's process sleep died"):
        wait_until_interrupted(child.kill, ["sleep"])
    child.wait()
    assert ends == [(os._exit, 1)]
    assert signal.getsignal(signal.SIGTERM) is before
    assert RayLostError("").resumable


def test_sigterm_is_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt):
        wait_until_interrupted(lambda: signal.raise_signal(signal.SIGTERM), [])


@pytest.mark.slow
def test_the_user_reads_last_that_the_same_command_goes_on(make_project: Any) -> None:
    import psutil

    project = make_project("image", **{"train.duration": "2000ep"})
    process = project.start("run")
    while "train: " not in project.log.read_text().replace("train: starts", ""):
        assert process.poll() is None, project.log.read_text()
        time.sleep(0.5)
    (raylet,) = (child for child in psutil.Process(process.pid).children() if child.name() == "raylet")
    raylet.kill()
    assert process.wait(timeout=120) == 1
    assert project.log.read_text().endswith(
        "Error: Ray's process raylet died (killed, or memory ran out), and with it all that ran.\n"
        "Stopped. The same command goes on from here.\n"
    )
