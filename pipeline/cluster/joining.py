"""Ray joined or started, and in words what stands against it: Ray itself tries for minutes, or shows a traceback."""

import logging
import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.forks import forked_workers

ANSWER_S = 20.0
"""For the head of a cluster to take a connection."""
WAY_OUT = "Unset it to use this machine, or name the head of a cluster that runs, such as RAY_ADDRESS=10.0.0.5:6379."


def joined_address() -> str | None:
    """Return what RAY_ADDRESS says; None where a run starts a Ray of its own."""
    address = os.environ.get("RAY_ADDRESS", "").strip()
    return None if address in ("", "local") else address


def embedded() -> AbstractContextManager[None]:
    """Return what begins ahead of a Ray that this process starts in the block; nothing where it joins one."""
    return nullcontext() if joined_address() else forked_workers()


def join(address: str) -> None:
    """Join the cluster that RAY_ADDRESS names by `address`. ZoetropeError within a minute when that cannot be."""
    import ray

    check_address(address)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of another version, without its token, ...: Ray raises whatever
        raise refusal(address, f"cannot be joined: {_first_line(error)}") from error


def start(**options: Any) -> None:
    """Start a Ray of this process' own. ZoetropeError when it cannot, such as for a HOME that cannot be written."""
    import ray

    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as error:  # Ray raises whatever
        raise ZoetropeError(
            f"Ray cannot start: {_first_line(error)}. It writes below HOME ({os.environ.get('HOME', 'not set')}) and "
            f"{tempfile.gettempdir()}; where these cannot be written, set HOME or RAY_TMPDIR. Else the machine may be "
            "busy, or a process of Ray's was killed: the same command tries again."
        ) from error


def check_address(address: str) -> None:
    """Raise ZoetropeError unless the head of a cluster answers at `address`, which may be `auto`."""
    import grpc  # comes with Ray
    from ray._private.grpc_utils import init_grpc_channel
    from ray._private.services import canonicalize_bootstrap_address

    if "://" in address:
        use = (
            "the dashboard, for `ray job submit`" if address.startswith("http") else "Ray Client, which no run can use"
        )
        raise refusal(address, f"is an address of {use}")
    try:
        head = canonicalize_bootstrap_address(address) or address  # as ray.init will
    except ConnectionError:
        raise refusal(address, "finds no Ray on this machine") from None
    except ValueError:
        raise refusal(address, "is no address") from None
    with init_grpc_channel(head) as channel:  # with TLS if Ray uses it
        try:
            grpc.channel_ready_future(channel).result(timeout=ANSWER_S)
        except grpc.FutureTimeoutError:
            raise refusal(address, "does not answer") from None


def refusal(address: str, why: str) -> ZoetropeError:
    """Return the error for a cluster that cannot be joined."""
    return ZoetropeError(f"RAY_ADDRESS={address} {why}. {WAY_OUT}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
