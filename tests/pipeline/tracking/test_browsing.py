"""MLflow's own pages, in a real browser: the address that a run prints shows runs, and a run says what it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.described import Typed
from pipeline.cluster.tracker import Tracker
from pipeline.tracking.address import VIEW, resolve
from pipeline.tracking.client import client
from tests.browser import CHROMIUM, Browser
from tests.conftest import RecipeMaker
from tests.pipeline.tracking.mlflow_server import Server
from tests.pipeline.tracking.test_model import saved
from tests.pipeline.tracking.test_server import Said

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium")]
__all__ = ["saved"]

RATES = (0.1, 0.02)
CURVES = ("val/top1", "val/loss", "train/loss", "lr", "throughput/data_wait")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile"), width_px=2600) as browser:  # a table draws no columns out of sight
        yield browser


@pytest.fixture(scope="module")
def tracked(
    server: Server, make_recipe: RecipeMaker, saved: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What two runs of one recipe leave in MLflow, the second with another learning rate: ids, and the page."""
    folder = tmp_path_factory.mktemp("store")
    tracking, experiment = resolve(server.url, folder), ""
    for rate in RATES:
        change = {"optimizer.lr": rate, "tracking.register": "flower-finder"}
        recipe = make_recipe("image", name="flowers", **change)
        typed = Typed("flowers.yaml", (f"optimizer.lr={rate}",))
        (record := folder / f"flowers-{rate}").mkdir()
        tracker = Tracker(tracking, recipe, folder, record, typed)
        tracker.attach(Said(), f"key-{rate}")
        tracker.log_dataset("a-digest", "/data/flowers", {"train": 26, "val": 6})
        for step in range(1, 5):
            tracker.points(step, dict.fromkeys(CURVES, step * rate))
        tracker.points(4, {"evaluate/top1": 5 * rate})
        tracker.tell("26 train, 6 val, 2 classes: rose, tulip", f"top-1 {500 * rate:.1f}%")
        assert tracker.log_model(saved)
        assert tracker.end("FINISHED") == []
        experiment = str(tracker.experiment_id())
    found = client(tracking).search_runs([experiment])
    return {
        "experiment": experiment,
        "runs": {str(run.info.run_name): str(run.info.run_id) for run in found},
        "page": tracking.page(experiment, VIEW),
    }


def test_the_address_that_a_run_prints_shows_runs_and_curves(browser: Browser, tracked: dict[str, Any]) -> None:
    """And not the page for language models, which is empty for a training."""
    assert len(tracked["runs"]) == len(RATES)
    browser.open(tracked["page"])
    shown = browser.until(*tracked["runs"], "val/top1", "throughput", "evaluate")  # what is out of sight is not drawn
    assert "top-1 50.0%: flowers optimizer.lr=0.1" in shown
    assert "No data available" not in shown
    lines = shown.splitlines()
    places = [lines.index(name) for name in ("val", "val/top1", "train", "Model metrics", "throughput", "evaluate")]
    assert places == sorted(places)  # what a person looks at first stands first


def test_a_run_says_what_it_was(browser: Browser, server: Server, tracked: dict[str, Any]) -> None:
    name, run = next(iter(tracked["runs"].items()))
    browser.open(f"{server.url}/#/experiments/{tracked['experiment']}/runs/{run}")
    shown = browser.until(name, "Description", "Machine", "evaluate/top1", "optimizer.lr", "flower-finder")
    assert "python -m pipeline run flowers.yaml optimizer.lr=" in shown
    assert "No description" not in shown


def test_models_are_listed_with_what_was_measured(browser: Browser, server: Server, tracked: dict[str, Any]) -> None:
    browser.open(f"{server.url}/#/experiments/{tracked['experiment']}/models?workflowType=machine_learning")
    assert "evaluate/top1" in browser.until("flowers", "flower-finder", "evaluate/top1")
    browser.open(f"{server.url}/#/models/flower-finder")
    assert "best" in browser.until("Version 1", "Version 2")
