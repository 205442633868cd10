"""`ray job submit` to a real Ray head with a token: refused, found afterwards, stop and resume, searches."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from pipeline.base.forks import HOOK
from tests.conftest import AS_OTHERS
from tests.processes import family
from tests.test_faults import NOTES, noted_step

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
RUN = ("python", "-m", "pipeline", "run")
STAGES = ["ingest", "shard", "train", "evaluate", "export"]
# Checkpoints take most of its time, so there is enough to stop it in the middle.
LONG = (
    *("recipes/quickstart-images.yaml", "data.source.samples=200", "cluster.workers=1", "train.batch_size=16"),
    *("train.duration=300st", "train.checkpoint=5st", "train.evaluate=300st"),
)
STEPS = 300

pytestmark = pytest.mark.slow


class Head:
    """A Ray head with a home, ports, temporary files and a token of its own."""

    typed_in = ROOT

    def __init__(self, folder: Path) -> None:
        self.home, self.temporary = folder / "home", folder / "ray"
        self.store = self.home / "zoetrope-runs"
        file, token = self.home / ".ray" / "auth_token", secrets.token_hex(32)
        file.parent.mkdir(parents=True)
        file.write_text(token)
        file.chmod(0o600)
        gcs, client, dashboard, agent = free_ports(4)
        # Without the code: that is to come with the working directory.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_")) and k != "PYTHONPATH"}
        self.environment = {
            **kept,
            **AS_OTHERS,
            "HOME": str(self.home),
            "PYTHONPATH": HOOK,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_JOB_STOP_WAIT_TIME_S": "30",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
        }
        command = [
            *(str(BIN / "ray"), "start", "--head", "--block", f"--port={gcs}", f"--temp-dir={self.temporary}"),
            *("--num-cpus=2", f"--object-store-memory={200 * 2**20}", f"--ray-client-server-port={client}"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"),
        ]
        log = folder / "head.log"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=self.environment, cwd=folder, start_new_session=True
            )

        def answers() -> bool:
            with suppress(requests.RequestException):
                jobs = f"{self.environment['RAY_API_SERVER_ADDRESS']}/api/jobs/"
                return requests.get(jobs, headers={"Authorization": f"Bearer {token}"}, timeout=5).ok
            return False

        wait_until(lambda: self.process.poll() is not None or answers(), log.read_text)
        assert self.process.poll() is None, log.read_text()

    def ray(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """`ray ...` with the head's token, from the folder `typed_in`; all that it prints is in `stdout`."""
        return subprocess.run(
            [str(BIN / "ray"), *arguments],
            env=self.environment | changes,
            cwd=self.typed_in,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def submit(self, *entrypoint: str, options: tuple[str, ...] = (), **changes: str) -> tuple[int, str]:
        """`ray job submit --working-dir . -- ENTRYPOINT`: its exit code, and what it printed."""
        done = self.ray("job", "submit", "--working-dir", ".", *options, "--", *entrypoint, **changes)
        return done.returncode, done.stdout

    def stop(self, job: str) -> str:
        """`ray job stop`; returns what the job printed."""
        stopped = self.ray("job", "stop", job)
        assert "was stopped" in stopped.stdout, stopped.stdout
        return self.logs(job)

    def logs(self, job: str) -> str:
        """What a job has printed."""
        return self.ray("job", "logs", "--log-color=false", job).stdout

    def ended(self, job: str) -> str:
        """What a job has printed, when it has nothing more to print."""
        return self.ray("job", "logs", "--log-color=false", "--follow", job).stdout

    def close(self) -> None:
        """End the head and all that it has started."""
        begotten = family(self.process.pid)
        self.process.kill()
        for process in begotten:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(begotten, timeout=300)

    def checkpoint(self) -> int:
        """The step of the checkpoint from which a training in the store would go on, 0 when there is none."""
        return max(map(noted_step, self.store.glob(NOTES)), default=0)

    def checkpoint_left(self) -> int:
        """The same once nobody trains any more: Ray ends the workers of a driver that is gone a moment later."""
        wait_until(lambda: not family(self.process.pid, "RayTrainWorker"), lambda: "there are training workers still")
        return self.checkpoint()

    @property
    def mlflow(self) -> Any:
        """A client of the store's MLflow."""
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{self.store / 'mlflow.db'}")

    def in_experiment(self, name: str) -> list[Any]:
        """The MLflow runs of one experiment, of whatever status."""
        return list(self.mlflow.search_runs([self.mlflow.get_experiment_by_name(name).experiment_id]))

    def mlflow_runs(self, experiment: str, recipe: str) -> list[Any]:
        """Those of one recipe."""
        return [
            run for run in self.in_experiment(experiment) if re.match(rf"(.*: )?{recipe} ", run.info.run_name + " ")
        ]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(ready: Callable[[], Any], story: Callable[[], str], timeout_s: float = 500) -> None:
    until_s = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < until_s, story()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    # Not pytest's own folder: the path of a Unix socket in it would be too long.
    folder = Path(tempfile.mkdtemp())
    head = Head(folder)
    yield head
    head.close()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_job_needs_the_token(head: Head, tmp_path: Path) -> None:
    code, shown = head.submit("echo", "arrived", HOME=str(tmp_path), RAY_AUTH_MODE="disabled")
    assert code != 0
    assert "401" in shown or "nauthorized" in shown or "uthentication" in shown, shown
    assert "arrived" not in shown


def test_quickstart_as_a_job(head: Head) -> None:
    code, shown = head.submit(*RUN, "recipes/quickstart.yaml", "data.source.samples=200", "train.duration=1ep")
    assert code == 0, shown
    log = head.logs(re.findall(r"raysubmit_\w+", shown)[0])
    assert "\x1b" not in log
    assert "joining Ray ..." in log
    for stage in STAGES:
        assert f"\n{stage}: starts\n" in log
        assert re.search(rf"\n{stage}: made in [\d.]+ s\n", log)
    assert f"mlflow ui --backend-store-uri sqlite:///{head.store}/mlflow.db" in log

    # From outside of the job, as the head's user.
    environment = head.environment | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline", "ls", "~/zoetrope-runs"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert listed.returncode == 0, listed.stderr
    assert all(stage in listed.stdout for stage in STAGES)
    (artifact,) = (head.store / "artifacts" / "export").iterdir()
    assert (artifact / "model" / "model.safetensors").exists()
    (run,) = head.mlflow_runs("moving-digits", "quickstart")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["evaluate/top1"] >= 0

    (copy,) = head.temporary.glob("session_2*/runtime_resources/working_dir_files/_ray_pkg_*/")
    sent = {path.relative_to(copy).parts[0] for path in copy.rglob("*")}
    assert sent >= {"pipeline", "models", "augment", "recipes"}
    assert not sent & {".git", ".venv", ".pytest_cache", ".hypothesis", "runs"}
    assert sum(path.stat().st_size for path in copy.rglob("*")) < 50 * 2**20


def test_a_store_in_the_working_directory_is_refused(head: Head) -> None:
    code, shown = head.submit(*RUN, "recipes/quickstart.yaml", "store=runs")
    assert code == 1
    assert "a temporary copy that Ray deletes after the job" in shown
    assert "Leave `store` out, for ~/zoetrope-runs on the head" in shown
    assert "Traceback" not in shown
    assert "joining Ray" not in shown
    (job,) = re.findall(r"raysubmit_\w+", shown)[:1]
    (details,) = [line for line in head.ray("job", "list").stdout.split("JobDetails") if job in line]
    assert "driver_exit_code=1" in details


def test_stopped_jobs_go_on(head: Head) -> None:
    def submit(job: str, stop_wait_s: int) -> None:
        """Submit, and return when the training has written a checkpoint more."""
        before = head.checkpoint()
        environment = f'{{"env_vars": {{"RAY_JOB_STOP_WAIT_TIME_S": "{stop_wait_s}"}}}}'
        options = ("--no-wait", "--submission-id", job, "--runtime-env-json", environment)
        code, shown = head.submit(*RUN, *LONG, options=options)
        assert code == 0, shown
        wait_until(lambda: head.checkpoint() > before, lambda: head.logs(job))

    def resumed_at(log: str) -> int:
        assert re.search(r"^ingest +reuse ", log, re.MULTILINE), log
        assert re.search(r"^shard +reuse ", log, re.MULTILINE), log
        (step,) = re.findall(r"^train: goes on after (\d+) steps; workers: 1$", log, re.MULTILINE)
        return int(step)

    trained = set(head.store.glob("artifacts/train/*"))
    submit("killed", stop_wait_s=0)
    assert "Stopped." not in head.stop("killed")  # SIGKILL came at once, as when 3 s were not enough
    (run,) = head.mlflow_runs("digits", "quickstart-images")
    assert run.info.status == "RUNNING"  # nobody was there to say otherwise
    left = head.checkpoint_left()

    submit("stopped", stop_wait_s=200)
    log = head.stop("stopped")
    assert resumed_at(log) == left
    assert log.rstrip().endswith("Stopped. The same command goes on from here."), log
    assert head.mlflow.get_run(run.info.run_id).info.status == "KILLED"
    left = head.checkpoint_left()
    assert set(head.store.glob("artifacts/train/*")) == trained

    code, shown = head.submit(*RUN, *LONG)
    assert code == 0, shown
    assert resumed_at(shown) == left
    assert [each.info.run_id for each in head.mlflow_runs("digits", "quickstart-images")] == [run.info.run_id]
    assert head.mlflow.get_run(run.info.run_id).info.status == "FINISHED"
    steps = [point.step for point in head.mlflow.get_metric_history(run.info.run_id, "train/loss")]
    assert len(steps) == len(set(steps))
    assert max(steps) == STEPS


def test_jobs_and_two_searches_at_once(head: Head) -> None:
    """Two jobs on one Ray, in one store."""
    small = ("data.source.samples=200", "train.duration=1ep", "tune.samples=2", "tune.search.startup=1")
    command = ("python", "-m", "tune", "recipes/tune-quickstart.yaml", *small)
    for job, seed in (("one", "0"), ("other", "1")):
        code, shown = head.submit(*command, f"seed={seed}", options=("--no-wait", "--submission-id", job))
        assert code == 0, shown
    for job in ("one", "other"):
        log = head.ended(job)
        assert "joining Ray ..." in log
        assert "2 trials: " in log, log
    folders = list((head.store / "tune").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert (folder / "best.yaml").exists()
    parents = [run for run in head.in_experiment("digits") if run.data.tags.get("zoetrope.role") == "search"]
    assert [run.info.status for run in parents] == ["FINISHED"] * 2
