"""Whole runs on a store that is no folder: `python -m pipeline` in processes of its own, a cache for each machine.

The first run is killed and a second machine ends it; what that leaves in the store, several tests look at.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.base.forks import ROOT
from pipeline.store.eviction import held_bytes
from pipeline.store.objects import Objects
from pipeline.store.remote import RemoteStore
from tests.nodes import running_cluster
from tests.pipeline.store.s3_server import BUCKET, SECRET, URL, Server, empty_bucket, first
from tests.processes import PYTHONPATH, begotten, left_of

RECIPE = """
name: tiny
task: {kind: image-classification}
data: {source: {kind: digits, samples: 160, size_px: 16}, split: {val: 0.25}}
shard: {samples: 32}
model: {kind: resnet18, width: 8, stem: small}
augment:
  train: [{RandomCrop: {height: 14, width: 14}}]
  eval: [{CenterCrop: {height: 14, width: 14}}]
optimizer: {kind: sgd, lr: 0.1, base_batch: 64}
schedule: {kind: cosine, warmup: 10%}
train: {duration: DURATION, batch_size: 16}
feed: {workers: 1}
cluster: {workers: 1}
store: STORE
"""


pytestmark = pytest.mark.slow
EPOCHS = "8ep"
"""Each with a checkpoint. Long enough for a kill in the midst of them."""


class Machine:
    """Runs the recipe with a cache and an MLflow of its own."""

    def __init__(self, folder: Path, name: str, duration: str = "2ep", store: str = URL) -> None:
        self.folder = folder
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(RECIPE.replace("DURATION", duration).replace("STORE", store))
        self.log = folder / f"{name}.log"
        self.environment = {
            **os.environ,
            "ZOETROPE_CACHE": str(folder / name),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "RAY_AUTH_MODE": "disabled",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": PYTHONPATH,
        }
        self.environment.pop("RAY_ADDRESS", None)

    def start(self, verb: str = "run") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline", verb, str(self.recipe)]
        with self.log.open("a") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, text=True)

    def run(self, verb: str = "run", code: int = 0) -> str:
        ended = self.start(verb).wait(timeout=600)
        said = self.log.read_text()
        assert ended == code, said
        return said


def all_keys() -> list[str]:
    return sorted(Objects(f"s3://{BUCKET}").list("runs"))


IMPATIENT = """
from pipeline.store import lease

lease.DEAD_S = 10.0  # a minute goes by in vain otherwise
"""


@dataclass
class TakenOver:
    """What is there when the machine "one" has been killed while it trained, and "two" has gone on."""

    folder: Path
    left: list[str]
    """Keys in the store after the kill."""
    asked: set[tuple[str, str]]
    """Requests of "two"."""
    said: str
    keys: list[str]
    statuses: list[str]
    """Of both runs, the newest first."""


@pytest.fixture(scope="module")
def s3(_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, empty_bucket(_server, tmp_path_factory.mktemp("s3"), patch) as server:
        yield server


@pytest.fixture(autouse=True)
def _answers_again(s3: Server) -> Iterator[None]:
    yield
    s3.rules.clear()


def notes_sent(s3: Server) -> int:
    """How often Ray Train has begun to note a checkpoint that is whole.

    Seen by the server: whoever asks the store would use up the errors that are meant for the run.
    """
    return sum(method == "PUT" and path.endswith("checkpoint_manager_snapshot.json") for method, path in list(s3.seen))


@pytest.fixture(scope="module")
def taken_over(s3: Server, tmp_path_factory: pytest.TempPathFactory) -> TakenOver:
    folder = tmp_path_factory.mktemp("taken-over")
    s3.rules += [first(5, (503, "SlowDown"), "PUT"), first(5, (500, "InternalError"), "GET")]
    one = Machine(folder, "one", EPOCHS)
    driver = one.start()
    until_s = time.monotonic() + 500
    while notes_sent(s3) < 2:  # so that one is there
        assert driver.poll() is None, one.log.read_text()
        assert time.monotonic() < until_s, one.log.read_text()
        time.sleep(0.2)
    children = begotten(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert left_of(children) == []  # they end when they miss the driver
    s3.rules.clear()
    left = all_keys()
    s3.seen.clear()
    two = Machine(folder, "two", EPOCHS)
    (folder / "impatient").mkdir()
    (folder / "impatient/sitecustomize.py").write_text(IMPATIENT)
    two.environment["PYTHONPATH"] = f"{folder / 'impatient'}{os.pathsep}{ROOT}"
    said = two.run()
    assert "train: waits for process" in said
    statuses = [record.content["status"] for record in RemoteStore(URL).records()]
    return TakenOver(folder, left, set(s3.seen), said, all_keys(), statuses)


def test_kill_9_of_the_driver_and_another_machine_goes_on(taken_over: TakenOver) -> None:
    """Shards and checkpoints of the dead machine are in the store, and the MLflow run goes on."""
    left = taken_over.left
    assert [key for key in left if key.startswith("artifacts/train/")] == []
    checkpoints = {("GET", f"/{BUCKET}/runs/{key}") for key in left if key.endswith("checkpoint.pt")}
    assert checkpoints
    assert "top-1" in taken_over.said
    assert checkpoints & taken_over.asked  # it was taken up
    shard_keys = [key for key in left if key.startswith("artifacts/shard/")]
    assert shard_keys
    assert set(shard_keys) <= set(taken_over.keys)
    (trained,) = RemoteStore(URL).artifacts("train")
    from mlflow import MlflowClient

    run = MlflowClient(f"sqlite:///{taken_over.folder}/mlflow.db").get_run(trained["facts"]["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert SECRET not in json.dumps(trained)
    assert [key for key in taken_over.keys if key.startswith("work/")] == []


def test_a_whole_run_and_another_machine_reuses_it(taken_over: TakenOver) -> None:
    store, folder, keys = RemoteStore(URL), taken_over.folder, taken_over.keys
    manifests = {key.split("/")[1] for key in keys if key.startswith("artifacts/") and key.count("/") == 2}
    assert manifests == {"ingest", "shard", "train", "evaluate", "export"}
    for stage in manifests:
        assert len(store.artifacts(stage)) == 1

    assert taken_over.statuses == ["done", "running"]  # nobody was there to say otherwise of the killed one
    for key in keys:
        assert SECRET.encode() not in (store.objects.read(key, 10**9) or b"")
    for path in folder.rglob("*"):  # with all that the machines have said
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path

    other = Machine(folder, "three", EPOCHS)
    assert "0 stages to run" in other.run("plan")
    assert "evaluate" in other.run()
    assert all_keys() == keys  # nothing to do, nothing written


def test_a_store_that_is_full_when_a_checkpoint_comes(taken_over: TakenOver, s3: Server) -> None:
    s3.rules.append(first(10**6, (507, "XMinioStorageFull"), part="checkpoint.pt"))
    said = Machine(taken_over.folder, "four", "1ep").run(code=1)
    assert re.findall(r"^(\w+) +reuse ", said, re.MULTILINE) == ["ingest", "shard"]
    error = said[said.index("Error:") :]
    assert "it is full or its quota is used up (507 XMinioStorageFull)" in " ".join(error.split())
    assert "Traceback" not in said
    assert RemoteStore(URL).records()[0].content["status"] == "failed"


def test_two_nodes_fetch_shards_into_caches_of_their_own(s3: Server, tmp_path: Path) -> None:
    with running_cluster() as cluster:
        nodes = [cluster.nodes[0], cluster.add()]
        machine = Machine(tmp_path, "driver", store=f"s3://{BUCKET}/nodes")
        machine.recipe.write_text(machine.recipe.read_text().replace("workers: 1}\nstore", "workers: 2}\nstore"))
        machine.environment |= {"RAY_ADDRESS": cluster.address, "ZOETROPE_CACHE": str(nodes[0].home / "cache")}
        said = machine.run()
        assert "top-1" in said
        fetched = [
            {path.name for path in (node.home / "cache").glob("stores/*/artifacts/shard/**/*.tar")} for node in nodes
        ]
    tars = {Path(key).name for key in Objects(f"s3://{BUCKET}/nodes").list("artifacts/shard") if key.endswith(".tar")}
    assert tars
    assert fetched[0] == fetched[1] == tars


def test_a_dataset_larger_than_the_cache_trains_and_is_verified(s3: Server, tmp_path: Path) -> None:
    limit, url = 1_600_000, f"s3://{BUCKET}/large"
    machine = Machine(tmp_path, "one", "40st", url)
    machine.environment["ZOETROPE_CACHE_LIMIT"] = str(limit)
    changes = ("samples: 160, size_px: 16", "samples: 600, size_px: 32"), ("val: 0.25", "val: 0.1")
    text = machine.recipe.read_text().replace("batch_size: 16}", "batch_size: 8, shuffle_window: 8}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    machine.recipe.write_text(text)
    assert "top-1" in machine.run()
    shards = sum(entry.bytes for key, entry in Objects(url).list("artifacts/shard").items() if key.endswith(".tar"))
    assert shards > limit
    assert held_bytes(tmp_path / "one") <= limit

    verify = [sys.executable, "-m", "pipeline", "verify", url]
    whole = subprocess.run(verify, env=machine.environment, capture_output=True, text=True, timeout=300)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    tar = next(key for key in Objects(url).list("artifacts/shard") if key.endswith("train/shard-000003.tar"))
    content = Objects(url).read(f"artifacts/shard/{tar}", 1 << 30)
    assert content
    Objects(url).write(f"artifacts/shard/{tar}", content[:700] + b"\xff" + content[701:])
    broken = subprocess.run(verify, env=machine.environment, capture_output=True, text=True, timeout=300)
    assert broken.returncode == 1
    assert "train/shard-000003.tar: is damaged" in broken.stdout
