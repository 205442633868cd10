import json
import shutil
from pathlib import Path

from pipeline.tracking.address import resolve
from pipeline.tracking.client import client
from pipeline.tracking.view import TAG, set_view


def test_an_experiment_has_a_view_until_somebody_makes_another(mlflow_tables: Path, tmp_path: Path) -> None:
    shutil.copy(mlflow_tables, tmp_path)
    tracking = resolve(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    experiment = client(tracking).create_experiment("e")
    set_view(tracking, experiment)
    state = json.loads(client(tracking).get_experiment(experiment).tags[TAG])
    assert [one["name"] for one in state["compareRunSections"]] == ["val", "train", "Model metrics", "throughput"]
    assert state["isAccordionReordered"]
    client(tracking).set_experiment_tag(experiment, TAG, "{}")
    set_view(tracking, experiment)
    assert client(tracking).get_experiment(experiment).tags[TAG] == "{}"
    set_view(tracking, "404")  # which MLflow refuses
