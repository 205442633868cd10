"""What `model.weights` may name, fetched from a server on this machine, whose first answer breaks off."""

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file

from models import official
from models.official import Official
from pipeline.base.errors import ZoetropeError
from pipeline.graph.plan import planned_stages
from pipeline.recipe import Recipe
from pipeline.store import Store
from pipeline.training.distributed import Process
from pipeline.training.learner import Learner
from pipeline.training.model import build_model
from pipeline.training.model_folder import FILES
from pipeline.training.start import fetch_start, find_start
from pipeline.training.teacher import digest
from pipeline.verbs.planning import make_plan
from tests.pipeline.stores import publish_until, quickstart

CLASSES = ("blue", "green", "red")


class Handler(BaseHTTPRequestHandler):
    """Gives `content`; the first answer has its half."""

    content = b""
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        whole = bool(Handler.ranges)
        Handler.ranges.append(self.headers["Range"])
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(Handler.content) - start))
        self.end_headers()
        self.wfile.write(Handler.content[start:] if whole else Handler.content[: len(Handler.content) // 2])

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_recipe: Any) -> Iterator[Callable[[str], Official]]:
    """`offered(sha256)`: the row "imagenet1k" of a ResNet-18, at a server that has a small one of 7 classes."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    file = io.BytesIO()
    torch.save(build_model(make_recipe("image"), 7).state_dict(), file)
    Handler.content = file.getvalue()
    Handler.ranges.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def offer(sha256: str) -> Official:
            found = official.named("resnet18", "imagenet1k")
            assert found is not None
            row = replace(found, url=f"http://127.0.0.1:{server.server_address[1]}/resnet18.pth", sha256=sha256)
            monkeypatch.setattr(official, "ROWS", (row,))
            return row

        yield offer
        server.shutdown()
        thread.join()


def learner(recipe: Recipe, said: list[str] | None = None, classes: tuple[str, ...] = CLASSES) -> Learner:
    return Learner.of(recipe, classes, Process(), say=(list[str]() if said is None else said).append)


def test_official_weights_that_broke_off_are_gone_on_with_and_loaded(
    offered: Callable[[str], Official], make_recipe: Any
) -> None:
    row = offered(hashlib.sha256(Handler.content).hexdigest()[:8])
    recipe, said = make_recipe("image", **{"model.weights": "imagenet1k"}), list[str]()
    half = len(Handler.content) // 2
    with pytest.raises(ZoetropeError, match=f"broke off after {half} of {len(Handler.content)} bytes; the same com"):
        learner(recipe)
    model = learner(recipe, said).model.state_dict()
    assert Handler.ranges == [None, f"bytes={half}-"]
    given = torch.load(io.BytesIO(Handler.content), weights_only=True)
    assert {name for name, value in given.items() if not torch.equal(model[name], value)} == {"fc.weight", "fc.bias"}
    head = "2 of the head not taken, it is for other classes (fc.weight, fc.bias)"
    assert said == [f"train: model.weights: {len(given) - 2} loaded, {head}"]
    learner(recipe)
    assert len(Handler.ranges) == 2
    assert find_start("resnet18", "imagenet1k", "/no/store").mark == row.url


def test_what_a_training_starts_from_is_fetched_before_it(
    offered: Callable[[str], Official], make_recipe: Any, tmp_path: Path
) -> None:
    """An official name, a run's name, a path; nothing where nothing is named."""
    offered(hashlib.sha256(Handler.content).hexdigest()[:8])
    Handler.ranges.append(None)

    def fetched(weights: str | None, store: Path = tmp_path) -> Path | None:
        return fetch_start(make_recipe("image", **{"model.weights": weights, "store": str(store)}), pytest.fail)

    official_file = fetched("imagenet1k")
    assert official_file is not None
    assert official_file.read_bytes() == Handler.content
    _, model, _ = run_in(tmp_path / "runs")
    assert fetched("quickstart", tmp_path / "runs") == model / "model.safetensors"
    assert fetched(str(model / "model.safetensors")) == model / "model.safetensors"
    assert fetched(None) is None


def test_official_weights_of_another_digest_are_refused(offered: Callable[[str], Official], make_recipe: Any) -> None:
    offered("01234567")
    Handler.ranges.append(None)
    with pytest.raises(ZoetropeError, match=r"resnet18.pth: the sha256 begins with [0-9a-f]{8}, not with 01234567"):
        learner(make_recipe("image", **{"model.weights": "imagenet1k"}))


def test_a_name_that_a_model_has_not_is_answered_with_those_that_it_has(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"model.weights: resnet18 has no weights called 'coco'; those of resnet18"):
        find_start("resnet18", "coco", str(tmp_path))
    with pytest.raises(
        ZoetropeError,
        match=r"model.weights: 'imagenet' is no name of official weights; did you mean 'imagenet1k'\? As a run: there "
        r"is no run in .*; a path has a `/` in it, as in ./imagenet",
    ):
        find_start("resnet18", "imagenet", str(tmp_path))


def run_in(store: Path, *overrides: str, content: str = "weights") -> tuple[Store, Path, Path]:
    """A store with a finished run of quickstart; its exported model's folder, and that of its record."""
    recipe = quickstart(store, *overrides)
    opened = publish_until(recipe, "export")
    planned, _ = make_plan(recipe)
    artifact = planned.steps[-1].artifact
    assert artifact is not None
    with opened.work("export", artifact.fingerprint) as work:
        (work.out / "model").mkdir(parents=True)
        for name in FILES:
            (work.out / "model" / name).write_text(content)
        export = opened.publish(work, artifact.manifest, replace=True)
    run = opened.record_run(recipe.name, {}, planned_stages(planned.steps))
    return opened, export.path / "model", run.folder


def test_a_run_by_its_name_its_id_and_its_folder(tmp_path: Path) -> None:
    store, model, record = run_in(tmp_path)
    for named in ("quickstart", record.name, str(record)):
        start = find_start("tsm_resnet18", named, store.url)
        assert (start.source, start.mark) == (str(model / "model.safetensors"), digest(model))
    with pytest.raises(ZoetropeError, match="As a run: unknown run 'quickstrat'; did you mean 'quickstart'"):
        find_start("tsm_resnet18", "quickstrat", store.url)


def test_a_recipe_that_starts_from_its_own_name_is_done_when_it_has_run(tmp_path: Path) -> None:
    """The newest run of the name is then that which started from it."""
    store, first, _ = run_in(tmp_path)
    own = "model.weights=quickstart"
    _, second, record = run_in(tmp_path, own, content="trained longer")
    assert second != first
    assert find_start("tsm_resnet18", "quickstart", store.url).source == str(first / "model.safetensors")
    assert find_start("tsm_resnet18", record.name, store.url).source == str(second / "model.safetensors")
    assert [step.action for step in make_plan(quickstart(tmp_path, own))[0].steps] == ["reuse"] * 5


@pytest.mark.parametrize(
    ("theirs", "is_kept"), [(list(CLASSES), True), (["red", "green", "blue"], False), (["x", "y", "z"], False)]
)
def test_the_head_of_a_run_for_other_classes_is_left_out(
    make_recipe: Any, tmp_path: Path, theirs: list[str], is_kept: bool
) -> None:
    trained = build_model(make_recipe("image", seed=5), 3).state_dict()
    save_file(trained, tmp_path / "model.safetensors")
    (tmp_path / "classes.json").write_text(json.dumps(theirs))
    said = list[str]()
    model = learner(make_recipe("image", **{"model.weights": str(tmp_path)}), said).model.state_dict()
    assert torch.equal(model["fc.weight"], trained["fc.weight"]) is is_kept
    assert torch.equal(model["conv1.weight"], trained["conv1.weight"])
    assert ("2 of the head not taken, it is for other classes" in said[0]) is not is_kept
