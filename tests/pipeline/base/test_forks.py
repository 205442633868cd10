"""Ray's workers are forks of a process that has imported torch, in a run of one's own too, which ends with the run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray

from pipeline.base import forks
from tests.processes import family

OWN_RAY = """
import json, os, sys
import ray
from rich.console import Console
from pipeline.recipe import load
from pipeline.verbs.driver import ray_cluster

def asked():
    from pipeline.base import threads
    forked = "torch" in sys.modules
    import torch
    threads.as_given()
    from pipeline.feed.apart import each_apart
    (below,) = each_apart(eval, [("'torch' in __import__('sys').modules",)], 60)
    first_to_go = open("/proc/self/oom_score_adj").read().strip()
    return [forked, below, torch.get_num_threads(), getattr(sys, "from_another_site", None), first_to_go], os.getppid()

path = os.environ["PYTHONPATH"]
with ray_cluster(load("recipes/quickstart.yaml", ["cluster.workers=2"]), Console(file=sys.stderr)):
    print(json.dumps([ray.get(ray.remote(num_cpus=cpus)(asked).remote()) for cpus in (1, 2)]))
assert os.environ["PYTHONPATH"] == path
"""


@ray.remote
def _worker() -> tuple[int, int, bool]:
    return os.getpid(), int(os.environ["RAY_RAYLET_PID"]), "torch" in sys.modules


def test_a_worker_is_a_fork(ray_of_two: None) -> None:
    pid, raylet, has_torch = ray.get(_worker.remote())
    assert has_torch
    assert pid in forks.workers(raylet)
    assert pid in {process.pid for process in family(os.getpid())}  # as if Ray had begotten it


@pytest.mark.slow
def test_a_ray_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.from_another_site = 'yes'\n")
    left_out = (forks.SOCKET, "OMP_NUM_THREADS", "RAY_ADDRESS")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"RAY_AUTH_MODE": "disabled", "HOME": str(tmp_path), "PYTHONPATH": f"{forks.ROOT}:{tmp_path}"}
    command = [sys.executable, "-c", OWN_RAY]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=forks.ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    of_one, of_two = json.loads(done.stdout)
    assert of_one[0] == [True, True, 1, "yes", "1000"]
    # As many threads as CPUs, though torch was there before Ray said how many.
    assert of_two[0] == [True, True, 2, "yes", "1000"]
    assert of_one[1] == of_two[1]
    assert not psutil.pid_exists(of_one[1])  # the server


@pytest.mark.parametrize("why", ["a GPU", "another system", "not wanted"])
def test_no_server(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(forks.SOCKET)
    if why == "a GPU":
        monkeypatch.setattr(forks, "GPU_DEVICES", ("/dev/null",))
    elif why == "another system":
        monkeypatch.setattr("sys.platform", "darwin")
    else:
        monkeypatch.setenv(forks.SOCKET, "")
    before = dict(os.environ)
    with forks.forked_workers():
        assert dict(os.environ) == before


def test_without_a_server_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket's path is too long, or there is no folder for it: a worker goes on by itself, and nobody is told."""
    monkeypatch.delenv(forks.SOCKET)
    long = tmp_path / ("x" * 100)
    for folder in (long, tmp_path / "missing"):
        long.mkdir(exist_ok=True)
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        with forks.forked_workers():
            command = [sys.executable, "-c", "from multiprocessing.forkserver import main; main(8, 9, [])"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "Bad file descriptor" in done.stderr  # the numbers are those of no files, so it was by itself
    assert forks.SOCKET not in os.environ


def test_whose_owner_was_killed_leaves_no_folder() -> None:
    owner = "import os, time; from pipeline.base import forks; from contextlib import ExitStack; stack = ExitStack()\n"
    owner += "stack.enter_context(forks.running_server()); print(os.environ[forks.SOCKET], flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True, cwd=forks.ROOT) as process:
        assert process.stdout
        socket = Path(process.stdout.readline().strip())
        until_s = time.monotonic() + 30
        while not socket.exists():
            assert time.monotonic() < until_s
            time.sleep(0.02)
        process.kill()
    while socket.parent.exists():
        assert time.monotonic() < until_s
        time.sleep(0.02)
