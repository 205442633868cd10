import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tracking import model as model_module
from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.mlflow_run import open_run
from pipeline.tracking.model import log_model, save_model, score_models

SCRIPT = """
import json
from pathlib import Path

import mlflow
import pandas as pd


class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.classes = json.loads(Path(context.artifacts["classes"]).read_text())

    def predict(self, context, model_input, params=None):
        from lengths import length

        lengths = [length(content) for content in model_input["content"]]
        return pd.DataFrame({"label": [self.classes[n % 2] for n in lengths], "score": [n / 10 for n in lengths]})


mlflow.models.set_model(Model())
"""
LOAD = """
import sys, json, mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(model.predict(pd.DataFrame({"content": [b"abc", bytes([0, 255])]})).to_dict("list")))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "classes.json").write_text('["even", "odd"]')
    (folder / "lengths").mkdir()
    (folder / "lengths" / "__init__.py").write_text("def length(content):\n    return len(content)\n")
    save_model(
        folder / "saved",
        folder / "script.py",
        {"classes": folder / "classes.json"},
        [folder / "lengths"],
        ["pandas"],
        {"label": "string", "score": "double"},
        {"top": 1},
    )
    return folder / "saved"


@pytest.fixture
def tracking(mlflow_tables: Path, tmp_path: Path) -> Tracking:
    shutil.copy(mlflow_tables, tmp_path)
    return resolve(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)


def predict(uri: str, tracking_uri: str) -> dict[str, list[object]]:
    """What the model says in a fresh process that knows nothing of this project."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    answer = subprocess.run(
        [sys.executable, "-c", LOAD, uri], capture_output=True, text=True, env=environment, cwd="/", timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


def test_nothing_is_pickled_and_nothing_inferred(saved: Path) -> None:
    files = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pyc", ".pt"))]
    assert {"MLmodel", "script.py", "artifacts/classes.json", "code/lengths/__init__.py"} <= files
    lines = (saved / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in lines] == ["mlflow", "pandas"]


def test_a_logged_model_predicts_from_bytes_in_a_fresh_process(saved: Path, tracking: Tracking) -> None:
    run_id = open_run(tracking, "models", "run", "key")
    before = (saved / "MLmodel").read_bytes()
    uri = log_model(tracking, run_id, "model", "this-one", saved)
    # The same again, as when the first answer was lost.
    assert log_model(tracking, run_id, "model", "this-one", saved) == uri
    assert (saved / "MLmodel").read_bytes() == before
    assert predict(uri, tracking.uri) == {"label": ["odd", "even"], "score": [0.3, 0.2]}
    outputs = client(tracking).get_run(run_id).outputs
    assert outputs is not None
    assert [f"models:/{output.model_id}" for output in outputs.model_outputs] == [uri]
    assert client(tracking).get_logged_model(uri.removeprefix("models:/")).source_run_id == run_id


def test_a_model_that_was_begun_is_gone_on_with(
    saved: Path, tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = open_run(tracking, "models", "run", "key")
    with monkeypatch.context() as patch:
        patch.setattr(model_module, "_log", lambda *_: (_ for _ in ()).throw(ConnectionError("gone")))
        with pytest.raises(ConnectionError):
            log_model(tracking, run_id, "model", "this-one", saved)
    uri = log_model(tracking, run_id, "model", "this-one", saved)
    experiment_id = client(tracking).get_run(run_id).info.experiment_id
    (model,) = client(tracking).search_logged_models([experiment_id])
    assert (f"models:/{model.model_id}", model.status.value) == (uri, "READY")
    assert log_model(tracking, run_id, "model", "another", saved) != uri


def test_a_model_has_what_the_evaluation_measured(saved: Path, tracking: Tracking) -> None:
    run_id = open_run(tracking, "models", "run", "key")
    mlflow = client(tracking)
    score_models(tracking, run_id)  # of no model
    uri = log_model(tracking, run_id, "model", "this-one", saved)
    for value in (0.5, 0.75):  # measured, and measured anew
        mlflow.log_metric(run_id, "evaluate/top1", value, int(1e12 * (1 + value)), 0)
        mlflow.log_metric(run_id, "val/top1", value, step=10)
        for _ in range(2):
            score_models(tracking, run_id)
    model = mlflow.get_logged_model(uri.removeprefix("models:/"))
    told = sorted((one.timestamp, one.key, one.value) for one in model.metrics or [])
    assert told == [(1_500_000_000_000, "evaluate/top1", 0.5), (1_750_000_000_000, "evaluate/top1", 0.75)]
    assert [point.value for point in mlflow.get_metric_history(run_id, "evaluate/top1")] == [0.5, 0.75]


def test_without_mlflow_the_folder_is_a_model(saved: Path) -> None:
    assert predict(str(saved), "")["label"] == ["odd", "even"]
