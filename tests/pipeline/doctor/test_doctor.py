"""What is broken is named, with what mends it."""

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base.terminal import Terminal
from pipeline.doctor import examine
from pipeline.doctor.found import Found, Looked
from pipeline.doctor.machine import clock
from pipeline.doctor.places import home, tracking
from pipeline.doctor.recipe import recipe
from pipeline.verbs import doctor
from tests.conftest import tiny_values

ROOT = Path(__file__).parents[3]


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))


def test_ten_broken_things_are_named(tmp_path: Path) -> None:
    """Each is broken for real, all for one command."""
    first = tmp_path / "first"  # on the path before everything else
    (first / "albumentations-1.0.dist-info").mkdir(parents=True)
    (first / "albumentations-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: albumentations\nVersion: 1.0\n"
    )
    (first / "decord.py").write_text("raise OSError('libavcodec.so.58: cannot open shared object file')")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").touch(0o644)
    values = tiny_values(
        "image", **{"data.source": {"kind": "folder", "path": "./none"}, "model.weights": "./no.safetensors"}
    )
    values |= {"store": "/proc/none", "tracking": {"uri": "http://127.0.0.1:1"}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    broken = {
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{first}:{ROOT}",
        "RAY_ADDRESS": "http://127.0.0.1:8265",
        "RAY_TMPDIR": "/proc/self",
    }
    command = [sys.executable, "-m", "pipeline", "doctor", str(tmp_path / "recipe.yaml"), "--json"]
    environment = {**os.environ, **broken}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, preexec_fn=few_files, timeout=300
    )
    assert done.returncode == 1, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = {row["check"]: row["what"] for row in rows if row["state"] == "wrong"}
    assert wrong.keys() == {
        *("packages", "decoding", "Ray", "token", "store", "tracking", "scratch", "limits", "data", "weights")
    }
    for name, words in {
        "packages": "albumentations 1.0 (",
        "decoding": "decord cannot be imported (libavcodec.so.58",
        "Ray": "RAY_ADDRESS=http://127.0.0.1:8265 is an address of the dashboard",
        "token": "can be read by others, too",
        "store": "/proc cannot be written",
        "tracking": "MLflow at http://127.0.0.1:1 does not answer",
        "scratch": "/proc/self cannot be written",
        "limits": "512 files may be open",
        "data": "none",
        "weights": "no.safetensors",
    }.items():
        assert words in wrong[name], (name, wrong[name])
    assert all(row["mend"] for row in rows if row["state"] == "wrong")


def only(found: Any) -> Found:
    (one,) = found
    return one


def test_a_recipe_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tiny_values("image") | {"optimiser": {}}))
    found = only(recipe(Looked(tmp_path / "recipe.yaml")))
    assert found.state == "wrong"
    assert "did you mean 'optimizer'" in found.what


def looked(folder: Path, **changes: Any) -> Looked:
    values = tiny_values("image") | {"store": str(folder)} | changes
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values))
    return Looked(folder / "recipe.yaml")


def test_a_database_that_is_none(tmp_path: Path) -> None:
    assert only(tracking(looked(tmp_path))).state == "right"
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    found = only(tracking(looked(tmp_path)))
    assert (found.state, "is no database of MLflow's" in found.what) == ("wrong", True)


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/self")
    assert only(home(Looked())).state == "wrong"


@pytest.fixture
def server() -> Iterator[Callable[[str], str]]:
    """A server whose clock says what a test wants."""
    date = "Thu, 01 Jan 2015 00:00:00 GMT"

    class Late(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", date)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    served = HTTPServer(("127.0.0.1", 0), Late)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield lambda path: f"http://127.0.0.1:{served.server_port}{path}"
    served.shutdown()
    served.server_close()


def test_a_clock_that_is_late(tmp_path: Path, server: Callable[[str], str]) -> None:
    disk, remote = clock(looked(tmp_path, tracking={"uri": server("")}))
    assert disk.state == "right"
    assert (remote.state, "the clock of MLflow's server" in remote.what, "behind" in remote.what) == (
        "wrong",
        True,
        True,
    )


def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(looked: Looked) -> Iterator[Found]:
        raise KeyError("x")

    monkeypatch.setattr("pipeline.doctor.CHECKS", {"this": fails})
    assert [(name, found.state) for name, found in examine(Looked())] == [("this", "wrong")]
    assert not doctor.doctor(Terminal(), Looked())
    assert "cannot be looked at: KeyError" in capsys.readouterr().out
