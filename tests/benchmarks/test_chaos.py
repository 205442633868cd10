"""The punisher itself: whom it strikes when, the connection that it cuts, and half a minute of the whole."""

import re
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chaos, chaos_faults
from benchmarks.chaos_store import Connection
from pipeline.base.keyed import generator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def punisher(monkeypatch: pytest.MonkeyPatch) -> chaos.Punisher:
    """One with three kinds of faults, for the last of which there is no moment yet."""
    kinds = {"a": lambda ordeal: True, "b": lambda ordeal: True, "c": lambda ordeal: ordeal["c"]}
    monkeypatch.setattr(chaos, "FAULTS", kinds)
    monkeypatch.setattr(chaos, "possible", lambda ordeal: list(kinds))
    return chaos.Punisher(generator("test", 0), mtbf_s=0.0, until_s=float("inf"))


def test_all_kinds_come_equally_often(punisher: chaos.Punisher) -> None:
    ordeal: Any = {"c": True}
    done = [punisher.strike(ordeal) for _ in range(30)]
    for start in range(0, 30, 3):
        assert sorted(map(str, done[start : start + 3])) == ["a", "b", "c"]
    assert punisher.used == Counter(a=10, b=10, c=10)
    assert len({tuple(done[start : start + 3]) for start in range(0, 30, 3)}) > 1


def test_a_kind_that_has_few_moments_is_waited_for(punisher: chaos.Punisher, monkeypatch: pytest.MonkeyPatch) -> None:
    ordeal: Any = {"c": False}
    clock = [0.0]
    monkeypatch.setattr(chaos.time, "monotonic", lambda: clock[0])
    assert {punisher.strike(ordeal) for _ in range(2)} == {"a", "b"}
    assert punisher.strike(ordeal) is None
    clock[0] += chaos.PATIENCE_S + 1
    assert punisher.strike(ordeal) in ("a", "b")
    assert punisher.left.count("c") == 2
    ordeal["c"] = True
    for _ in range(3):
        punisher.strike(ordeal)
    assert punisher.left == []
    assert punisher.used == Counter(a=2, b=2, c=2)
    punisher.until_s = clock[0] - 1
    assert punisher.strike(ordeal) is None


@pytest.mark.parametrize("change", [chaos_faults.torn, chaos_faults.flipped])
def test_what_is_damaged_is_not_what_it_was(change: Any) -> None:
    assert change(b"whole") not in (b"", b"whole")


def test_a_connection_is_cut_and_comes_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(server.getsockname()[1])
        connection.start()

        def call() -> socket.socket:
            return socket.create_connection(("127.0.0.1", connection.port), timeout=10)

        def answered(one: socket.socket) -> bytes:
            one.sendall(b"a question")
            there, _ = server.accept()
            with there:
                assert there.recv(100) == b"a question"
                there.sendall(b"an answer")
                return one.recv(100)

        with call() as one:
            assert answered(one) == b"an answer"
        with call() as one:
            one.sendall(b"a question")
            there, _ = server.accept()  # so that it is through
            connection.set("reset")
            with pytest.raises(ConnectionResetError):
                one.recv(100)
            there.close()
        with pytest.raises(ConnectionResetError), call() as one:
            one.recv(100)
        connection.set("silent")
        with call() as one:
            one.settimeout(0.2)
            with pytest.raises(TimeoutError):
                one.recv(100)
            connection.set(None)
            one.settimeout(10)
            with pytest.raises(ConnectionResetError):
                one.recv(100)
        with call() as one:
            assert answered(one) == b"an answer"


@pytest.mark.slow
def test_half_a_minute_of_it_loses_nothing() -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--minutes", "0.5", "--mtbf", "4", "--seed", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    times = {kind: int(count) for kind, count in re.findall(r"^\| (.+?) \| (\d+) \| 0 \|$", done.stdout, re.MULTILINE)}
    assert list(times) == list(chaos.FAULTS)
    assert sum(times.values()) > 0  # how many depends on the machine
