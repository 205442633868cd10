"""The interpreter, memory, limits and the clock."""

import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import psutil

from pipeline.cluster.resources import cores
from pipeline.doctor.found import Found, Looked
from pipeline.tracking.address import resolve

LEAST_PYTHON = (3, 11)
LEAST_MEMORY = 4 << 30
SHARED = Path("/dev/shm")
LEAST_SHARED = 1 << 30
LEAST_FILES = 4096
SKEW_S = 30.0
"""Between two clocks; tokens and leases count in minutes."""
ANSWER_S = 5.0


def python(looked: Looked) -> Iterator[Found]:
    """The version of Python."""
    right = sys.version_info >= LEAST_PYTHON
    wanted = ".".join(map(str, LEAST_PYTHON))
    yield Found(
        "right" if right else "wrong",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, {cores()} cores",
        "" if right else f"{wanted} or newer is needed: make quickstart PYTHON=python{wanted}",
    )


def memory(looked: Looked) -> Iterator[Found]:
    """Memory, and the part of it that processes share, where Ray keeps what stages hand on."""
    free = psutil.virtual_memory().available
    yield Found(
        "right" if free >= LEAST_MEMORY else "note",
        f"{_gib(free)} of memory are free",
        "" if free >= LEAST_MEMORY else "end other programs, or lower train.micro_batch and feed.workers",
    )
    if SHARED.is_dir():
        at = os.statvfs(SHARED)
        size = at.f_frsize * at.f_blocks
        right = size >= LEAST_SHARED
        yield Found(
            "right" if right else "wrong",
            f"{SHARED} has {_gib(size)}",
            "" if right else "start the container with more: docker run --shm-size=4g ...",
        )


def limits(looked: Looked) -> Iterator[Found]:
    """Files that may be open at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    right = soft == resource.RLIM_INFINITY or soft >= LEAST_FILES
    yield Found(
        "right" if right else "wrong",
        f"{soft} files may be open at a time",
        "" if right else f"ulimit -n {LEAST_FILES if hard == -1 else min(hard, 65536)}",
    )


def clock(looked: Looked) -> Iterator[Found]:
    """Compare this machine's clock with those of the store's disk and of MLflow's server."""
    skews = {}
    if "://" not in looked.store:
        skews["the store's disk"] = _skew_of(
            next(p for p in (Path(looked.store), *Path(looked.store).parents) if p.is_dir())
        )
    recipe = looked.recipe
    uri = resolve(recipe.tracking.uri if recipe else None, looked.store).uri
    if uri.startswith("http"):
        skews["MLflow's server"] = _skew_of_server(uri)
    for whose, skew_s in skews.items():
        if skew_s is not None:
            right = abs(skew_s) <= SKEW_S
            yield Found(
                "right" if right else "wrong",
                f"the clock of {whose} is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's",
                "" if right else "timedatectl set-ntp true, on both",
            )


def _skew_of(folder: Path) -> float | None:
    """Seconds by which a new file is dated ahead of this machine's clock; None where nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            before = time.time()
            os.utime(file.name)
            return os.stat(file.name).st_mtime - before
    except OSError:
        return None


def _skew_of_server(uri: str) -> float | None:
    import requests

    try:
        answer = requests.head(uri, timeout=ANSWER_S)
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
    except (requests.RequestException, KeyError, ValueError, TypeError):
        return None


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
