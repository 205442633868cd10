"""When a checkpoint is due, by a clock and a Ray of the test's own; with a real one in tests/test_nodes.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster import notice
from pipeline.cluster.notice import AGAIN_S, LOOK_EVERY_S, Notice
from pipeline.training.distributed import Process

ROOT = Path(__file__).parents[3]


class World:
    """What Ray and the clock say, and how often Ray was asked."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now_s, self.alive, self.dead, self.leaving = 100.0, 1, 0, False
        self.counted = self.looked = 0
        patch.setattr(notice.time, "monotonic", lambda: self.now_s)
        patch.setattr(notice.ray, "nodes", self.nodes)
        patch.setattr(notice.ray.train, "get_preemption_info", self.info)

    def nodes(self) -> list[dict[str, Any]]:
        self.counted += 1
        return [{"Alive": True}] * self.alive + [{"Alive": False}] * self.dead

    def info(self) -> object | None:
        self.looked += 1
        return object() if self.leaving else None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_ray_is_asked_every_few_seconds_only(world: World) -> None:
    asked = Notice(Process(), 2)
    world.leaving = True
    world.now_s += LOOK_EVERY_S - 0.1
    assert not asked()
    assert (world.looked, world.counted) == (0, 1)
    world.now_s += 0.1
    assert asked()
    assert (world.looked, world.counted) == (1, 2)


def test_a_node_that_is_to_go_gives_checkpoints_until_it_is_gone(world: World) -> None:
    asked = Notice(Process(), 1)
    world.leaving = True
    found = []
    for _ in range(51):
        found.append((world.now_s - 100, asked()))
        world.now_s += 1
    assert [at for at, due in found if due] == [LOOK_EVERY_S, LOOK_EVERY_S + AGAIN_S, LOOK_EVERY_S + 2 * AGAIN_S]
    world.leaving = False
    world.now_s += AGAIN_S
    assert not asked()


def test_a_node_that_has_joined_gives_one(world: World) -> None:
    asked = Notice(Process(), 3)
    answers = []
    for world.alive, world.dead in ((1, 0), (2, 0), (2, 1), (1, 2), (2, 2), (2, 2)):
        world.now_s += LOOK_EVERY_S
        answers.append(asked())
    assert answers == [False, True, False, False, True, False]


def test_nodes_are_not_counted_by_a_training_that_cannot_grow(world: World) -> None:
    asked = Notice(Process(), 1)
    world.alive = 2
    world.now_s += LOOK_EVERY_S
    assert not asked()
    assert (world.looked, world.counted) == (1, 0)


RANK = """
import json, sys
import pytest
from torch import distributed
from pipeline.cluster.notice import Notice
from pipeline.training.distributed import Process
from tests.pipeline.cluster.test_notice import World

rank = int(sys.argv[1])
distributed.init_process_group("gloo", f"file://{sys.argv[2]}", rank=rank, world_size=2)
with pytest.MonkeyPatch.context() as patch:
    world = World(patch)
    asked, answers = Notice(Process(rank, 2), 3), []
    for seconds, world.alive, world.leaving in json.loads(sys.argv[3]):
        world.now_s = 100 + seconds[rank]
        answers.append([asked(), world.looked])
print(json.dumps([answers, world.counted]))
"""


@pytest.mark.slow
def test_ranks_with_clocks_apart_look_together_and_answer_alike(tmp_path: Path) -> None:
    """Ray's own question is a barrier: a rank that asks once more than the others waits for ever."""
    story = [
        ((4, 4), 1, True),  # nobody's turn
        ((5, 4), 1, False),  # of rank 0 alone
        ((5, 11), 2, False),  # of rank 1 alone, and only rank 0 counts nodes
        ((9, 17), 2, True),  # of rank 1 alone
        ((28, 36), 2, True),  # both were put off
        ((29, 36), 2, True),  # of rank 0
    ]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path / "meet"), json.dumps(story)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for rank in range(2)
    ]
    (answers, counted), (others, other_counted) = (json.loads(rank.communicate(timeout=300)[0]) for rank in ranks)
    assert answers == [[False, 0], [False, 1], [True, 2], [True, 3], [False, 3], [True, 4]]
    assert others == answers
    assert (counted, other_counted) == (5, 0)
