"""Ray: whether the cluster that RAY_ADDRESS names answers, or one can start here; who may read its token."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.joining import check_address, joined_address
from pipeline.cluster.resources import cores, cpus
from pipeline.doctor.found import Found, Looked
from pipeline.doctor.packages import version_of

TOKEN = "~/.ray/auth_token"


def cluster(looked: Looked) -> Iterator[Found]:
    """The cluster, and whether it has what the recipe asks for."""
    version = version_of("ray")
    if address := joined_address():
        try:
            check_address(address)
        except ZoetropeError as error:
            yield Found("wrong", str(error), "unset RAY_ADDRESS")
        else:
            yield Found("right", f"Ray {version}; the cluster at {address} answers")
        return
    yield Found("right", f"Ray {version}; RAY_ADDRESS names no cluster, so a run starts one of its own")
    recipe = looked.recipe
    if recipe and (needed := cpus(recipe)) > cores():
        yield Found(
            "note",
            f"the recipe asks for {needed:g} CPUs, and this machine has {cores()}",
            f"cluster.workers={max(1, cores())}",
        )


def token(looked: Looked) -> Iterator[Found]:
    """Ray's token, by which anybody who has it runs code here."""
    path = Path(TOKEN).expanduser()
    mode = os.environ.get("RAY_AUTH_MODE", "")
    if mode == "disabled":
        yield Found("note", "RAY_AUTH_MODE=disabled: whoever reaches Ray's ports runs code here", "unset RAY_AUTH_MODE")
    if not path.exists():
        yield Found("right", f"{path} will be made by the first run")
        return
    readable = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    yield Found(
        "wrong" if readable else "right",
        f"{path} can be read by {'others, too' if readable else 'you alone'}",
        f"chmod 600 {path}" if readable else "",
    )
