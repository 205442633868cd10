"""The main job through the command line, a test a modality, on tiny data of real JPEG and MP4 files.

That of images is the one whole run that `make test` makes.
"""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

STAGES = ["ingest", "shard", "train", "evaluate", "export"]


def actions(output: str) -> list[tuple[str, str]]:
    """(stage, run or reuse) as the plan says it."""
    return re.findall(r"^(\w+) +(run|reuse) ", output, flags=re.MULTILINE)


def check_artifacts(project: Any, extension: str) -> None:
    assert all((project.artifact(stage) / "manifest.json").exists() for stage in STAGES)
    assert project.facts("ingest")["samples"] == 33
    assert (project.facts("shard")["train"], project.facts("shard")["val"]) == (26, 7)
    evaluation = project.artifact("evaluate")
    measured = json.loads((evaluation / "metrics.json").read_text())
    assert measured | {"quarantined": 0, "split": "val"} == project.facts("evaluate")
    rows = list(csv.DictReader((evaluation / "predictions.csv").open()))
    assert len(rows) == 7
    assert measured["top1"] == pytest.approx(sum(row["class"] == row["predicted"] for row in rows) / 7)
    assert {path.suffix for path in (evaluation / "figures").iterdir()} == {".png", ".svg"}
    (page,) = project.store.glob("runs/*/report.html")
    assert "top-1" in page.read_text()
    assert "train/loss" in page.read_text()  # the curves of the training
    stored, exported = (project.artifact(stage) for stage in ("train", "export"))
    assert load_file(stored / "model.safetensors").keys() == load_file(exported / "model/model.safetensors").keys()
    tars = list((project.artifact("shard") / "train").glob("*.tar"))
    assert len(tars) == 2
    assert f".{extension}".encode() in tars[0].read_bytes()


def check_mlflow(project: Any, steps: list[int], validated: list[int]) -> None:
    (run,) = project.mlflow_runs()
    assert run.info.run_id == project.facts("train")["mlflow_run_id"]
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.lr"] == "0.05"
    assert run.data.params["train.batch_size"] == "8"
    history = {name: project.mlflow.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    for name in ("train/loss", "train/top1", "lr", "throughput/samples_per_s", "throughput/data_wait"):
        assert [point.step for point in history[name]] == steps
    assert [point.step for point in history["val/top1"]] == validated
    assert run.data.metrics["evaluate/top1"] == project.facts("evaluate")["top1"]
    assert run.data.metrics["val/top1"] == project.facts("train")["val/top1"]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == manifest_digest(project.artifact("shard"))[:36]
    paths = set(artifacts(project.mlflow, run.info.run_id))
    assert paths >= {
        "recipe.yaml",
        "environment.txt",
        "report.html",
        "figures/first_batch.png",
        "figures/learning_rate.png",
        "figures/confusion_matrix.png",
        "figures/best_predictions.png",
        "figures/worst_predictions.png",
        "evaluation/per_class.csv",
        "evaluation/predictions.csv",
    }
    model = project.mlflow.get_logged_model(project.facts("export")["mlflow_model"].removeprefix("models:/"))
    assert (model.status.value, model.source_run_id) == ("READY", run.info.run_id)


def manifest_digest(shards: Path) -> str:
    import hashlib

    return hashlib.sha256((shards / "dataset.json").read_bytes()).hexdigest()


def artifacts(client: Any, run_id: str, folder: str | None = None) -> list[str]:
    found: list[str] = []
    for item in client.list_artifacts(run_id, folder):
        found += artifacts(client, run_id, item.path) if item.is_dir else [item.path]
    return found


@pytest.mark.slow
def test_videos(make_project: Callable[..., Any]) -> None:
    project = make_project("video", **{"cluster.workers": 2, "feed.workers": 1})
    output = project.run()
    assert actions(output) == [(stage, "run") for stage in STAGES]
    assert re.search(r"^top-1 \d+\.\d% on the validation split$", output, flags=re.MULTILINE)
    assert "Traceback" not in output
    check_artifacts(project, "mp4")
    check_mlflow(project, [3, 6], [3, 6])

    again = project.run()
    assert actions(again) == [(stage, "reuse") for stage in STAGES]
    assert "0 stages to run" in again
    assert "Ray" not in again  # it was not started
    assert output.partition("\ntop-1")[2] == again.partition("\ntop-1")[2]

    planned = project.plan("loss.label_smoothing=0.2", "tracking.experiment=other")
    assert actions(planned) == [*((s, "reuse") for s in STAGES[:2]), *((s, "run") for s in STAGES[2:])]
    assert "loss.label_smoothing changed 0.0 -> 0.2" in planned

    changed = project.run("evaluate.clips=2")
    assert actions(changed) == [*((s, "reuse") for s in STAGES[:3]), *((s, "run") for s in STAGES[3:])]
    (run,) = project.mlflow_runs()  # what is measured anew of a training belongs to its run
    assert run.info.status == "FINISHED"
    assert len(project.mlflow.get_metric_history(run.info.run_id, "evaluate/top1")) == 2


def test_images(make_project: Callable[..., Any]) -> None:
    project = make_project("image", **{"train.duration": "8ep", "train.evaluate": "4ep", "train.checkpoint": "4ep"})
    project.run()
    check_artifacts(project, "jpg")
    check_mlflow(project, [10, 12, 20, 24], [12, 24])
    assert project.facts("evaluate")["top1"] == 1.0


@pytest.mark.slow
def test_the_feed_by_itself(make_project: Callable[..., Any]) -> None:
    project = make_project("image", **{"feed.workers": 1})
    shown = project.run("--seconds", "0.5", verb="feed")
    assert re.search(r"^[\d,]+ samples/s from 1 worker process \(\d+ batches of 8, \d+ cores\)$", shown, re.MULTILINE)
    for step in ("read", "decode", "augment", "collate", "wait"):
        assert re.search(rf"^{step} +\d+\.\d%", shown, re.MULTILINE)
    made = project.artifact("shard")
    assert not (project.store / "artifacts" / "train").exists()
    assert "starting Ray" not in project.run("--seconds", "0", verb="feed")  # the shards are there
    assert project.artifact("shard") == made
    kept = project.run("--seconds", "0", "feed.cache=1MB", verb="feed")
    assert re.search(r"^[\d,]+ samples/s from the second epoch on$", kept, re.MULTILINE)
    told = r"^feed\.cache: (\d+) of \1 training samples fit in 1MB$"
    assert re.search(told, kept, re.MULTILINE)
    assert re.search(told, project.run("feed.cache=1MB", verb="plan"), re.MULTILINE)
