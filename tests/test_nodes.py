"""Two nodes: two raylets on this machine, of which one is killed in mid-training, replaced, and asked to leave."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from pipeline.training import checkpoint
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tests.nodes import Cluster, running_cluster, wait_until
from tests.processes import PYTHONPATH

pytestmark = pytest.mark.slow

EVERY = 7
"""Steps from checkpoint to checkpoint. One takes most of a second, so training outlasts what is done to its nodes."""
# No BatchNorm, which sees other batches with other workers, and a learning rate at which roundings stay small.
MODEL = {"kind": "hornet_tiny_7x7", "width": 4, "depths": [1, 1, 1, 1], "size_px": 16, "patch_px": 2, "drop_path": 0.0}
CHANGES = {
    "model": MODEL,
    "optimizer.lr": 0.001,
    "schedule.kind": "constant",
    "shard.samples": 1,
    "train.duration": "1000000st",
    "train.checkpoint": f"{EVERY}st",
    "train.evaluate": "1000000st",
    "cluster.workers": {"min": 1, "max": 2},
    # The node that is killed counts. One that leaves does not, unless Ray hears of its worker's death before its own.
    "cluster.max_failures": 2,
}


@pytest.fixture(scope="module")
def alone() -> Iterator[Cluster]:
    """A head."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(alone: Cluster) -> Iterator[Cluster]:
    """The head, to which each test adds nodes that it loses again, however it ends."""
    yield alone
    for node in alone.nodes[1:]:
        node.kill()


class Watch:
    """A run that trains, and all checkpoints that were ever there: the newest two are kept."""

    def __init__(self, project: Any) -> None:
        self.project, self.run = project, project.start("run")
        self.seen: list[tuple[int, int]] = []  # steps done, and by how many workers

    def until(self, ready: Callable[[], Any]) -> Any:
        """Wait for something, looking at checkpoints meanwhile."""

        def look() -> Any:
            self.seen += [each for each in self.kept() if each not in self.seen]
            return ready()

        return wait_until(look, self.project.log, self.run)

    def kept(self) -> dict[tuple[int, int], Path]:
        """The checkpoints that are there, the newest last, which may be half written."""
        found = {}
        for path in sorted(self.project.store.glob("work/train/*/scratch/ray/*/step-*-of-*")):
            _, step, _, world = path.name.split("-")
            found[int(step), int(world)] = path
        return found

    def steps(self, world: int, after: int = 0) -> list[int]:
        """Checkpoints of so many workers."""
        return [step for step, of in self.seen if of == world and step > after]

    def goes_on(self, world: int) -> None:
        """Wait for other workers' first checkpoint: they begin at the last one, or where that was lost, just before."""
        self.until(lambda: self.seen[-1][1] == world)
        before = max(i for i, (_, of) in enumerate(self.seen) if of != world)
        # A checkpoint whose node dies as it is written is seen, and not yet Ray Train's
        assert -2 * EVERY <= self.seen[before + 1][0] - self.seen[before][0] <= EVERY, self.seen


class Stop(Exception):
    """Ends the undisturbed training."""


def check_same_batches(project: Any, last: int, weights: dict[str, torch.Tensor]) -> None:
    """Every point, and the weights, as of one process that trains undisturbed: each tells which samples went in."""
    recipe = check(yaml.safe_load(project.recipe.read_text()), "r")
    points: dict[int, float] = {}

    def on_points(step: int, total: int, metrics: dict[str, float]) -> None:
        points[step] = metrics["train/loss"]

    def on_checkpoint(step: int, state: checkpoint.State, metrics: dict[str, float]) -> None:
        if step == last:
            state.save(project.folder)
            raise Stop

    with pytest.raises(Stop):
        train(recipe, open_dataset(project.artifact("shard")), Process(), on_points, on_checkpoint)
    expected = checkpoint.read(project.folder)["model"]
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)
    (run,) = project.mlflow_runs()
    history = project.mlflow.get_metric_history(run.info.run_id, "train/loss")
    measured = {point.step: point.value for point in history if point.step <= last}
    assert measured.keys() == points.keys()
    assert measured == pytest.approx(points, rel=1e-4)


def test_a_training_outlasts_its_nodes(make_project: Callable[..., Any], cluster: Cluster) -> None:
    head, second = cluster.nodes[0], cluster.add()
    project = make_project("image", **CHANGES)
    project.environment = {"RAY_ADDRESS": cluster.address}
    watch = Watch(project)
    try:
        watch.until(lambda: watch.steps(2, after=30))
        watch.until(lambda: (head.training_workers(), second.training_workers()) == (1, 1))
        # The dashboard hears of tasks a moment later. Shards as small as these may all be made on the node that asks
        # first: that tasks go to both nodes is shown below, by some that wait for each other.
        watch.until(lambda: cluster.tasks("make_shard").total() >= 33)
        assert cluster.tasks("make_shard").total() == 33

        second.raylet.kill()
        watch.goes_on(world=1)
        watch.until(lambda: head.training_workers() == 1)

        third = cluster.add()
        watch.goes_on(world=2)
        watch.until(lambda: (head.training_workers(), third.training_workers()) == (1, 1))

        before = watch.seen[-1][0]
        third.process.terminate()
        watch.until(lambda: [step for step in watch.steps(2, after=before) if step % EVERY])
        watch.goes_on(world=1)
        gone = watch.seen[-1][0]
        watch.until(lambda: watch.steps(1, after=gone + 3 * EVERY))
        os.kill(watch.run.pid, signal.SIGINT)
        assert watch.run.wait(timeout=300) == 130, project.log.read_text()
        wait_until(lambda: not head.training_workers(), project.log, head.process)
    finally:
        watch.run.kill()
        watch.run.wait()
    workers = re.findall(r"train: goes on after \d+ steps; workers: (\d)", project.log.read_text())
    assert workers == ["1", "2", "1"]
    ((last, _), path), _ = list(watch.kept().items())[-2:]
    check_same_batches(project, last, checkpoint.read(path)["model"])


PARTS = """
import sys, time
from pathlib import Path
import ray
from pipeline.cluster.parallel import run_parallel

def part(number):
    (folder / f"{number}-{ray.get_runtime_context().get_node_id()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    return number

folder = Path(sys.argv[1])
ray.init(log_to_driver=False)
print("results", list(run_parallel(part, [(0,), (1,)])))
"""


def test_parts_of_a_lost_node_are_made_again_on_another(cluster: Cluster, tmp_path: Path) -> None:
    second, log = cluster.add(), tmp_path / "log"
    environment = {**os.environ, "RAY_ADDRESS": cluster.address, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": PYTHONPATH}
    with log.open("w") as output:
        command = [sys.executable, "-c", PARTS, str(tmp_path)]
        driver = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        begun = wait_until(lambda: begun if len(begun := list(tmp_path.glob("?-*"))) == 2 else None, log, driver)
        second.kill()
        (tmp_path / "go").touch()
        assert driver.wait(timeout=300) == 0, log.read_text()
    finally:
        driver.kill()
        driver.wait()
    assert "results [0, 1]" in log.read_text()
    (anew,) = set(tmp_path.glob("?-*")) - set(begun)
    nodes = {path.name.partition("-")[2] for path in begun}
    assert len(nodes) == 2
    assert anew.name.partition("-")[2] in nodes
