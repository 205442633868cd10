"""Stages that test_execute.py runs on Ray; imported there by name, as the real ones are.

`context.recipe` is a plain dict, `context.services` a folder where test and stages leave each other marks.
"""

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import ray

from pipeline.base.errors import ZoetropeError
from pipeline.graph.plan import Context


class Refused(ZoetropeError):
    """An error of a user's making."""


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def write_whole(path: Path, text: str) -> None:
    """Who sees the file reads all of it."""
    new = path.with_name(f"new-{path.name}")
    new.write_text(text)
    os.replace(new, path)


def tens(context: Context) -> dict[str, Any]:
    """Gives the same output for 10 and for 11."""
    context.progress(1, 2, "half")
    (context.out / "tens.txt").write_text(str(context.recipe["n"] // 10))
    context.progress(2, 2)
    return {"n": context.recipe["n"]}


def double(context: Context) -> dict[str, Any]:
    value = 2 * int((context.inputs["tens"].path / "tens.txt").read_text())
    (context.out / "double.txt").write_text(str(value))
    return {"value": value}


def parts(context: Context) -> dict[str, Any]:
    """Killed after its first part, as long as there are fewer deaths than asked for; goes on after it."""
    for number in range(2):
        part = context.out / f"{number}.txt"
        if not part.exists():
            part.write_text(f"process {os.getpid()}")
            marks = list(context.services.glob("death*"))
            if len(marks) < context.recipe["deaths"]:
                (context.services / f"death{len(marks)}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
    return {}


def greedy(context: Context) -> dict[str, Any]:
    """Needs all CPUs, and dies with them in hand at the first try."""
    group = ray.util.placement_group([{"CPU": 2}])
    ray.get(group.ready(), timeout=60)
    if not (context.services / "death").exists():
        (context.services / "death").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    ray.util.remove_placement_group(group)
    return {}


def quiet(context: Context) -> dict[str, Any]:
    """Shows no progress for a while."""
    time.sleep(1.5)
    return {}


def bug(context: Context) -> dict[str, Any]:
    wait_for(context.services / "sibling")
    raise ValueError("no such thing\nsecond line")


@ray.remote(num_cpus=0)
def _refuse() -> None:
    raise Refused("the folder is empty: put files there")


def refuse(context: Context) -> dict[str, Any]:
    """An error of the user's in a task that the stage started."""
    (context.scratch / "part").touch()
    ray.get(_refuse.remote())
    return {}


def full(context: Context) -> dict[str, Any]:
    """As a write() does when the disk is full."""
    raise OSError(errno.ENOSPC, "No space left on device")


def sibling(context: Context) -> dict[str, Any]:
    (context.services / "sibling").touch()
    (record,) = (context.services.parent / "store/runs").glob("*/run.json")
    while '"failed"' not in record.read_text():  # the driver knows it
        time.sleep(0.02)
    (context.out / "x.txt").write_text("x")
    return {}


@ray.remote(num_cpus=0)
class _Child:
    def pid(self) -> int:
        return os.getpid()


@ray.remote(num_cpus=0)
def _sleep(folder: Path) -> None:
    write_whole(folder / "child", str(os.getpid()))
    time.sleep(1000)


def hang(context: Context) -> dict[str, Any]:
    """Starts a task and an actor of its own, writes all process ids to `pids`, then fails or waits for the task."""
    (context.out / "part").touch()
    actor: Any = _Child.remote()  # type: ignore[attr-defined]  # Ray's decorator adds it
    sleeping = _sleep.remote(context.services)
    wait_for(context.services / "child")
    child = (context.services / "child").read_text()
    write_whole(context.services / "pids", f"{os.getpid()} {child} {ray.get(actor.pid.remote())}")
    if context.recipe.get("fail"):
        raise Refused("no")
    try:
        ray.get(sleeping)
    finally:
        (context.services / "cleaned").touch()
    return {}


def stubborn(context: Context) -> dict[str, Any]:
    """Does not end when it is asked to."""
    (context.out / "part").touch()
    while True:
        try:
            write_whole(context.services / "pids", str(os.getpid()))
            time.sleep(1000)
        except KeyboardInterrupt:
            (context.services / "asked").touch()
