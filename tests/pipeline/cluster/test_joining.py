import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.cluster import joining
from pipeline.cluster.joining import check_address, joined_address

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("said", "expected"),
    [(None, None), ("", None), (" ", None), ("local", None), ("auto", "auto"), (" 10.0.0.5:6379\n", "10.0.0.5:6379")],
)
def test_what_is_joined(monkeypatch: pytest.MonkeyPatch, said: str | None, expected: str | None) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if said is not None:
        monkeypatch.setenv("RAY_ADDRESS", said)
    assert joined_address() == expected


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:8265", "is an address of the dashboard, for `ray job submit`"),
        ("ray://127.0.0.1:10001", "is an address of Ray Client, which no run can use"),
        ("garbage", "is no address"),
        ("a:b:c", "is no address"),
        ("head.invalid:6379", "does not answer"),
    ],
)
def test_what_is_no_head(monkeypatch: pytest.MonkeyPatch, address: str, why: str) -> None:
    monkeypatch.setattr(joining, "ANSWER_S", 0.2)
    with pytest.raises(
        ZoetropeError, match=rf"^RAY_ADDRESS={re.escape(f'{address} {why}')}. Unset it to use this mach"
    ):
        check_address(address)


def test_who_listens_and_is_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "ANSWER_S", 0.2)
    with socket.create_server(("", 0)) as silent, pytest.raises(ZoetropeError, match="does not answer"):
        check_address(f"localhost:{silent.getsockname()[1]}")


def test_a_server_that_answers() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    check_address(f"127.0.0.1:{port}")
    server.stop(None)


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_one_line() -> None:
    """The token that Ray writes there comes before all that it starts."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_AUTH_MODE", "RAY_ADDRESS")}
    code = (
        "from pipeline.cluster.joining import start\n"
        "try: start(num_cpus=1)\nexcept Exception as error: print(repr(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HOME": "/proc/nohome", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "ZoetropeError" in done.stdout
    assert "Ray cannot start: [Errno 2] No such file or directory: '/proc/nohome'" in done.stdout
    assert "It writes below HOME (/proc/nohome)" in done.stdout
