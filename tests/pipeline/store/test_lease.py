"""Two machines that want to make the same artifact: one waits, or takes over from a dead one."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.store import lease
from pipeline.store.remote import RemoteStore
from tests.pipeline.store.publishing import MANIFEST, keys, on_another_machine
from tests.pipeline.store.s3_server import URL


def test_one_machine_waits_for_the_other(store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    told = threading.Event()
    result: list[str] = []

    with store.work("shard", "f1") as work:
        on_another_machine(monkeypatch, tmp_path)

        def wait(text: str) -> None:
            result.append(text)
            told.set()

        def other() -> None:
            with store.work("shard", "f1", wait):
                result.append("found" if store.find("shard", "f1") else "nothing")

        thread = threading.Thread(target=other)
        thread.start()
        assert told.wait(300)
        monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
        (work.out / "x").write_text("x")
        store.publish(work, MANIFEST)
    thread.join(300)
    assert result[0].startswith("shard: waits for process ")
    assert result[1:] == ["found"]


def test_a_dead_machine_s_lease_is_taken_over(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.objects.write("work/shard/f1/lease.json", json.dumps({"id": "x", "machine": "m", "holder": "h"}).encode())
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    monkeypatch.setattr(lease, "DEAD_S", 2.0)
    waits: list[str] = []
    with store.work("shard", "f1", waits.append):
        assert waits == ["shard: waits for h, which is making it"]
    assert keys() == []


HOLDER = """
import sys, time
from pipeline.store import open_store
with open_store(sys.argv[1]).work("shard", "f1") as work:
    (work.out / "part").write_text("done")
    print("holds", flush=True)
    time.sleep(600)
"""


def test_kill_9_on_this_machine_is_noticed_at_once(store: RemoteStore) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, URL], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "holds\n"
        holder.kill()
    assert keys() == ["work/shard/f1/lease.json"]
    waits: list[str] = []
    with store.work("shard", "f1", waits.append) as work:
        assert (work.out / "part").read_text() == "done"
    assert waits == []
