"""The verb `predict` as it is typed."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.base.terminal import Terminal
from pipeline.cli import BAD_FILES
from pipeline.exported.predictions import Prediction
from pipeline.exported.predictor import Predictor
from pipeline.shards.dataset import Dataset
from pipeline.verbs import predict_parts
from pipeline.verbs.predict import Seen, shown, views_of
from tests.conftest import NO_IMAGE
from tests.pipeline.exported.untrained import exported_to
from tests.pipeline.test_cli import typed
from tests.processes import PYTHONPATH


@pytest.fixture(scope="module")
def model(make_recipe: Any, images: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(exported_to(tmp_path_factory.mktemp("model"), make_recipe("image"), images))


@pytest.fixture
def photos(validation_files: Callable[[str], list[bytes]], tmp_path: Path) -> Path:
    """Seven pictures, and the fourth of eight files that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, content in enumerate(validation_files("image")):
        (folder / f"{i + (i > 2)}.jpg").write_bytes(content)
    (folder / "3.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    return partial(typed, capsys, monkeypatch)


def expected(model: str, photos: Path) -> list[tuple[str, str]]:
    """File and words of what can be used."""
    predictor = Predictor(Path(model), "cpu")
    good = [path for path in sorted(photos.glob("*.jpg")) if path.name != "3.jpg"]
    return [(str(path), predictor.task.words(predictor(path.read_bytes()))) for path in good]


def test_a_line_a_file_in_a_log(terminal: Any, model: str, photos: Path) -> None:
    code, out, err = terminal("predict", model, str(photos), "--workers", "0")
    lines = [tuple(line.split("\t")) for line in out.splitlines()]
    assert lines[3] == (f"{photos}/3.jpg", f"cannot be used: {NO_IMAGE}")
    assert [*lines[:3], *lines[4:8]] == expected(model, photos)
    assert lines[8][0].startswith("8 files, 1 of them cannot be used; ")
    assert (code, err) == (BAD_FILES, "")
    code, out, _ = terminal("predict", model, f"{photos}/[01]*", "--workers", "0")
    assert (code, len(out.splitlines())) == (0, 3)


def test_a_table_with_drawings(terminal: Any, model: str, photos: Path, tmp_path: Path) -> None:
    table, drawn = tmp_path / "a.csv", tmp_path / "drawn"
    arguments = ("--out", str(table), "--draw", str(drawn), "--top", "2", "--views", "crops=3", "--batch", "3")
    code, out, _ = terminal("predict", model, str(photos), "--workers", "0", *arguments)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert code == BAD_FILES
    assert [row["file"] for row in rows] == [f"{photos}/{i}.jpg" for i in range(8)]
    assert rows[3] == {"file": f"{photos}/3.jpg", "error": NO_IMAGE} | dict.fromkeys(
        ("label", "score", "top_labels", "top_scores"), ""
    )
    three = Predictor(Path(model), "cpu", {"crops": 3})((photos / "0.jpg").read_bytes())["scores"]
    assert float(rows[0]["score"]) == pytest.approx(float(three.max()), abs=1e-6)
    assert len(json.loads(rows[0]["top_labels"])) == 2
    assert sorted(path.name for path in drawn.iterdir()) == [f"00000{i}-{i}.jpg" for i in (0, 1, 2, 4, 5, 6, 7)]
    assert out.splitlines()[0] == f"{photos}/3.jpg\tcannot be used: {NO_IMAGE}"
    assert len(out.splitlines()) == 2


def test_the_newest_are_in_a_table_on_a_terminal() -> None:
    screen = io.StringIO()
    console = Terminal(file=screen, force_terminal=True, width=60)
    found = [Prediction(f"{i}.jpg", {}, f"0.{i} cat") for i in range(20)]
    found.insert(19, Prediction("bad[/].jpg", error="is empty"))
    assert list(shown(console, iter(found), seen := Seen())) == found
    assert (seen.files, seen.bad) == (21, 1)
    last = screen.getvalue().rpartition("answer")[2]
    assert "cannot be used: is empty" in last
    assert "bad[/].jpg" in last
    assert " 8.jpg" not in last
    assert "19.jpg" in last
    assert "21 files, 1 of them cannot be used; " in last


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("no-such-run", "x.jpg"), "no-such-run"),
        (("MODEL", "x.jpg", "--out", "x.xlsx"), "--out x.xlsx: unknown kind of table '.xlsx'"),
        (("MODEL", "x.jpg", "--views", "crops"), "--views crops: write KEY=VALUE"),
        (("MODEL", "x.jpg", "--views", "flip=true"), "evaluate.flip"),
        (("MODEL", "none/*.jpg"), "no file is like none/*.jpg"),
        (("MODEL", "x.jpg", "--ray"), "--ray: say by --out where the answers go"),
    ],
)
def test_what_is_wrong_is_told(terminal: Any, model: str, tmp_path: Path, arguments: Any, says: str) -> None:
    given = [model if each == "MODEL" else each for each in arguments]
    code, _, err = terminal("predict", *given, "--store", str(tmp_path), "--workers", "0")
    assert code == 1
    assert says in err


def test_views() -> None:
    assert views_of(["clips=3", "flip=true", "scales=[0.75, 1]"]) == {"clips": 3, "flip": True, "scales": [0.75, 1]}
    with pytest.raises(ZoetropeError, match="not valid YAML"):
        views_of(["scales=[1"])


class Handler(SimpleHTTPRequestHandler):
    """Says nothing of what it is asked."""

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    """The URL of a server of the pictures."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(photos))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_urls(terminal: Any, model: str, photos: Path, server: str) -> None:
    urls = [f"{server}/{name}" for name in ("0.jpg", "none.jpg", "3.jpg", "1.jpg")]
    (photos / "list.csv").write_text("url\n" + "\n".join(urls))
    code, out, _ = terminal("predict", model, f"{server}/list.csv", "--workers", "0")
    lines = out.splitlines()
    words = [words for _, words in expected(model, photos)]
    assert lines[0] == f"{urls[0]}\t{words[0]}"
    assert lines[1] == f"{urls[1]}\tcannot be used: there is no file {urls[1]}"
    assert lines[2] == f"{urls[2]}\tcannot be used: {NO_IMAGE}"
    assert lines[3] == f"{urls[3]}\t{words[1]}"
    assert code == BAD_FILES


@pytest.mark.slow
def test_on_ray_the_same_command_goes_on(model: str, photos: Path, tmp_path: Path) -> None:
    """It is stopped when the first of three parts is there."""
    part = predict_parts.PART_FILES
    files = [f"{photos}/{i % 8}.jpg" for i in range(2 * part + 10)]
    (photos / "list.csv").write_text("path\n" + "\n".join(files))
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "pipeline", "predict", model, f"{photos}/list.csv", "--ray", "--out", str(out)]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "HOME": str(tmp_path), "PYTHONPATH": PYTHONPATH}
    environment.pop("RAY_ADDRESS", None)
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        parts = out.with_name("out.jsonl.parts")
        while first.poll() is None and not list(parts.glob("0*.jsonl")):
            time.sleep(0.02)
        first.send_signal(signal.SIGINT)
        first.wait()
    there = len(list(parts.glob("0*.jsonl")))
    assert there, (tmp_path / "log").read_text()
    other = subprocess.run([*command, "--top", "2"], env=environment, capture_output=True, text=True)
    assert (other.returncode, out.exists()) == (1, False)
    assert "holds parts of another list of files" in other.stderr
    second = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert second.returncode == BAD_FILES, second.stderr
    assert f"{there} of 3 parts are there already" in second.stdout
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["file"] for row in rows] == files
    scores = dict(expected(model, photos))
    assert all(f"{row['score']:.2f} {row['label']}" == scores[row["file"]] for row in rows if "error" not in row)
    assert sum("error" in row for row in rows) == sum(file.endswith("/3.jpg") for file in files)
    assert not parts.exists()
