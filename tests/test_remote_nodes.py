"""Batches from Ray actors on other nodes."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.feed.batch import BatchSource
from pipeline.shards.dataset import Dataset
from tests.nodes import running_cluster
from tests.processes import PYTHONPATH

AFAR = """
import pickle, sys, time
from contextlib import closing
from pathlib import Path

import numpy as np
import ray

from pipeline.feed.local import LocalFeed
from pipeline.cluster.remote_feed import Actors

source = pickle.loads(Path(sys.argv[1]).read_bytes())
ray.init(sys.argv[2], log_to_driver=False)
here = ray.get_runtime_context().get_node_id()
where = lambda actor: ray.get(actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))
steps = range(2, 14)
with closing(Actors(source.recipe.feed, str, 1)) as actors, closing(actors.feed(source, steps, {})) as feed:
    while len(actors.there()) < 2:
        time.sleep(0.1)
    expected = LocalFeed(source, steps, 0, 200.0)
    for step, batch, other in zip(steps, feed, expected, strict=True):
        assert all(np.array_equal(batch.arrays[name], other.arrays[name]) for name in other.arrays)
        if step == 5:
            first = {where(actor) for actor in actors.started}
            print("found", len(first), here in first, batch.arrays["pixels"].nbytes, flush=True)
            sys.stdin.readline()
    print("found", len(first & {where(actor) for actor in actors.started}), flush=True)
"""


@pytest.mark.slow
def test_actors_on_other_nodes_and_one_of_these_is_lost(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    feed = {"kind": "remote", "actors": 2, "workers": 1, "in_flight": 3, "resource": "decode"}
    large = [{"Resize": {"height": 200, "width": 200}}]  # too large to be sent beside the object store
    recipe = make_recipe("image", feed=feed, **{"augment.train": large})
    (tmp_path / "source").write_bytes(pickle.dumps(BatchSource(recipe, images, "train", training=True)))
    with running_cluster() as cluster:
        nodes = [cluster.add('--resources={"decode": 1}') for _ in range(2)]
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "HOME": str(tmp_path), "PYTHONPATH": PYTHONPATH}
        command = [sys.executable, "-c", AFAR, str(tmp_path / "source"), cluster.address]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
        )
        assert process.stdin
        assert process.stdout
        try:
            found = (line for line in process.stdout if line.startswith("found"))  # Ray has something to say, too
            assert next(found) == f"found 2 False {8 * 200 * 200 * 3}\n"
            nodes[0].kill()
            process.stdin.write("go on\n")
            process.stdin.flush()
            assert next(found) == "found 1\n"  # the lost one's successor waits for a node
            assert process.wait(timeout=300) == 0
        finally:
            process.kill()
            process.wait()
