"""Whole runs on a store that is no folder: `python -m pipeline` in processes of its own, a cache for each machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.store.objects import Objects
from pipeline.store.remote import RemoteStore
from pipeline.store.room import held_bytes
from tests.nodes import running_cluster
from tests.pipeline.store.s3_server import BUCKET, SECRET, Server, first

URL = f"s3://{BUCKET}/runs"
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
store: s3://bucket/runs
"""


class Machine:
    """Runs the recipe with a cache and an MLflow of its own."""

    def __init__(self, folder: Path, name: str, duration: str = "2ep") -> None:
        self.folder = folder
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(RECIPE.replace("DURATION", duration))
        self.log = folder / f"{name}.log"
        self.environment = {
            **os.environ,
            "ZOETROPE_CACHE": str(folder / name),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "RAY_AUTH_MODE": "disabled",
            "OMP_NUM_THREADS": "1",
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


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_whole_run_and_another_machine_reuses_it(s3: Server, tmp_path: Path) -> None:
    s3.rules += [first(5, (503, "SlowDown"), "PUT"), first(5, (500, "InternalError"), "GET")]
    said = Machine(tmp_path, "one").run()
    assert "top-1" in said
    store = RemoteStore(URL)
    keys = all_keys()
    manifests = {key.split("/")[1] for key in keys if key.startswith("artifacts/") and key.count("/") == 2}
    assert manifests == {"ingest", "shard", "train", "evaluate", "export"}
    assert [key for key in keys if key.startswith("work/")] == []
    for stage in manifests:
        assert len(store.artifacts(stage)) == 1

    (record,) = store.records()
    assert record.content["status"] == "done"
    for key in keys:
        assert SECRET.encode() not in (store.objects.read(key, 10**9) or b"")
    assert SECRET not in said
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path

    other = Machine(tmp_path, "two")
    assert "0 stages to run" in other.run("plan")
    assert "evaluate" in other.run()
    assert all_keys() == keys  # nothing to do, nothing written


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_nodes_fetch_shards_into_caches_of_their_own(s3: Server, tmp_path: Path) -> None:
    with running_cluster() as cluster:
        nodes = [cluster.nodes[0], cluster.add()]
        machine = Machine(tmp_path, "driver")
        machine.recipe.write_text(machine.recipe.read_text().replace("workers: 1}\nstore", "workers: 2}\nstore"))
        machine.environment |= {"RAY_ADDRESS": cluster.address, "ZOETROPE_CACHE": str(nodes[0].home / "cache")}
        said = machine.run()
        assert "top-1" in said
        fetched = [
            {path.name for path in (node.home / "cache").glob("stores/*/artifacts/shard/**/*.tar")} for node in nodes
        ]
    assert fetched[0] == fetched[1] == {Path(key).name for key in all_keys() if key.endswith(".tar")}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_9_of_the_driver_and_another_machine_goes_on(s3: Server, tmp_path: Path) -> None:
    """Shards and checkpoints of the dead machine are in the store, and the MLflow run goes on."""
    one = Machine(tmp_path, "one", "6ep")
    driver = one.start()
    until_s = time.monotonic() + 500
    while not any("/ray/" in key and "step-" in key for key in all_keys()):
        assert driver.poll() is None, one.log.read_text()
        assert time.monotonic() < until_s, one.log.read_text()
        time.sleep(0.2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(3)  # Ray's processes end when they miss the driver
    before = all_keys()
    assert [key for key in before if key.startswith("artifacts/train/")] == []

    checkpoints = {("GET", f"/{BUCKET}/runs/{key}") for key in before if key.endswith("checkpoint.pt")}
    assert checkpoints
    s3.seen.clear()
    two = Machine(tmp_path, "two", "6ep")
    said = two.run()
    assert "top-1" in said
    assert checkpoints & set(s3.seen)  # it was taken up
    shard_keys = [key for key in before if key.startswith("artifacts/shard/")]
    assert set(shard_keys) <= set(all_keys())
    store = RemoteStore(URL)
    (trained,) = store.artifacts("train")
    from mlflow import MlflowClient

    run = MlflowClient(two.environment["MLFLOW_TRACKING_URI"]).get_run(trained["facts"]["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert SECRET not in json.dumps(trained)
    assert [key for key in all_keys() if key.startswith("work/")] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_store_that_is_full_when_a_checkpoint_comes(s3: Server, tmp_path: Path) -> None:
    s3.rules.append(first(10**6, (507, "XMinioStorageFull"), part="checkpoint.pt"))
    said = Machine(tmp_path, "one").run(code=1)
    error = said[said.index("Error:") :]
    assert "it is full or its quota is used up (507 XMinioStorageFull)" in " ".join(error.split())
    assert "Traceback" not in said
    (record,) = RemoteStore(URL).records()
    assert record.content["status"] == "failed"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_dataset_larger_than_the_cache_trains_and_is_verified(s3: Server, tmp_path: Path) -> None:
    limit = 5_000_000
    machine = Machine(tmp_path, "one", "60st")
    machine.environment["ZOETROPE_CACHE_LIMIT"] = str(limit)
    changes = ("samples: 160, size_px: 16", "samples: 1797, size_px: 32"), ("val: 0.25", "val: 0.1")
    text = machine.recipe.read_text().replace("batch_size: 16}", "batch_size: 16, shuffle_window: 8}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    machine.recipe.write_text(text)
    assert "top-1" in machine.run()
    shards = sum(entry.bytes for key, entry in Objects(URL).list("artifacts/shard").items() if key.endswith(".tar"))
    assert shards > limit
    assert held_bytes(tmp_path / "one") <= limit

    verify = [sys.executable, "-m", "pipeline", "verify", URL]
    whole = subprocess.run(verify, env=machine.environment, capture_output=True, text=True, timeout=300)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    tar = next(key for key in Objects(URL).list("artifacts/shard") if key.endswith("train/shard-000003.tar"))
    content = Objects(URL).read(f"artifacts/shard/{tar}", 1 << 30)
    assert content
    Objects(URL).write(f"artifacts/shard/{tar}", content[:700] + b"\xff" + content[701:])
    broken = subprocess.run(verify, env=machine.environment, capture_output=True, text=True, timeout=300)
    assert broken.returncode == 1
    assert "train/shard-000003.tar: is damaged" in broken.stdout
