"""Which exported model a name, an id or a path means."""

from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.graph.plan import planned_stages
from pipeline.store import Artifact, Store
from pipeline.training.find_model import WITHIN, find_model, typed
from pipeline.training.model_folder import FILES
from pipeline.verbs.planning import make_plan
from tests.pipeline.stores import RECIPES, publish_until, quickstart

KEY = "loss.distill.teacher"


def model_in(folder: Path, content: str = "weights") -> Path:
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> tuple[Store, Artifact, Path]:
    """A store, the export of its only run and that run's folder."""
    recipe = quickstart(tmp_path / "store")
    store = publish_until(recipe, "export", {"train": {"mlflow_run_id": "f" * 32}})
    export = store.artifacts("export")[0]
    with store.work("export", export["fingerprint"]) as work:
        model_in(work.out / "model")
        artifact = store.publish(work, export, replace=True)
    planned, _ = make_plan(recipe)
    return store, artifact, store.record_run("quickstart", {}, planned_stages(planned.steps)).folder


@pytest.mark.parametrize("within", WITHIN)
def test_a_folder(tmp_path: Path, within: str) -> None:
    folder = model_in(tmp_path / "given" / within)
    assert find_model(f"{tmp_path}/given", "/no/store") == folder


def test_all_names_of_one_model(run: tuple[Store, Artifact, Path]) -> None:
    store, artifact, folder = run
    model, training = artifact.path / "model", artifact.manifest["inputs"]["train"]["fingerprint"]
    trained = artifact.path.parents[1] / "train" / training
    words = ("quickstart", folder.name, "f" * 32, artifact.fingerprint[:12], training[:12], training)
    paths = (store.url, folder, artifact.path, model, trained)
    assert [find_model(str(named), store.url) for named in words + paths] == [model] * 11
    assert find_model(str(RECIPES / "quickstart.yaml"), store.url) == model
    assert [find_model(str(path), "/no/store") for path in paths] == [model] * 5
    (model / "model.safetensors").write_text("Weights")  # as long as before
    for named in ("quickstart", str(model), str(artifact.path), str(folder)):
        with pytest.raises(ZoetropeError, match=r"model\.safetensors: this file is damaged.* --rerun export` makes"):
            find_model(named, store.url)


def test_the_newest_run_of_a_recipe_that_has_a_model_is_meant(run: tuple[Store, Artifact, Path]) -> None:
    store, artifact, _ = run
    store.record_run("quickstart", {}, {"export": {"fingerprint": "0" * 32}})  # of which nothing is there
    assert find_model("quickstart", store.url) == artifact.path / "model"


def test_what_is_typed_is_a_path_where_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model_in(tmp_path / "mine")
    assert (typed("mine"), typed("quickstart"), typed("a/b")) == ("./mine", "quickstart", "a/b")
    assert find_model(typed("mine")) == Path("mine")
    (tmp_path / "photos" / "cat").mkdir(parents=True)  # the data, and so the run of the recipe that `init` wrote
    (tmp_path / "runs" / "artifacts").mkdir(parents=True)
    assert (typed("photos"), typed("runs")) == ("photos", "./runs")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (
            "./nowhere",
            r"^loss.distill.teacher: nowhere holds no exported model \(model.safetensors, .* or the name of a",
        ),
        ("first", r"^loss.distill.teacher: there is no run in .*store; a path has a `/` in it, as in ./first"),
        ("s3://bucket/model", "is no MLflow URI"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, named: str, says: str) -> None:
    with pytest.raises(ZoetropeError, match=says):
        find_model(named, str(tmp_path / "store"), KEY)


def test_a_run_that_is_not_there_or_made_no_model_is_told(tmp_path: Path) -> None:
    store = publish_until(quickstart(tmp_path), "train")
    run = store.record_run("first", {}, {})
    with pytest.raises(ZoetropeError, match=r"^unknown run 'frist'; did you mean 'first'"):
        find_model("frist", store.url)
    for name in ("first", run.folder.name, f"{tmp_path}/runs/{run.folder.name}"):
        with pytest.raises(ZoetropeError, match=f"the run {Path(name).name} has no exported model"):
            find_model(name, store.url)


def test_a_model_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    from pipeline.tracking.address import resolve
    from pipeline.tracking.client import client

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    store = str(tmp_path / "store")
    mlflow: MlflowClient = client(resolve(None, store))
    given = mlflow.create_run(mlflow.create_experiment("one")).info.run_id
    mlflow.log_artifacts(given, str(model_in(tmp_path / "logged")), "saved/artifacts/model")
    found = find_model(f"runs:/{given}/saved", store)
    assert sorted(path.name for path in found.iterdir()) == sorted(FILES)
    with pytest.raises(ZoetropeError, match=r"^models:/m-none cannot be fetched from sqlite:.*Set MLFLOW_TRACKING_URI"):
        find_model("models:/m-none", store)
    with pytest.raises(ZoetropeError, match=r"^models:/m-none: there is no .*elsewhere/mlflow.db; set MLFLOW_TRACK"):
        find_model("models:/m-none", f"{tmp_path}/elsewhere")
    assert not {"mlflow.db", "elsewhere"} & {path.name for path in tmp_path.iterdir()}  # nothing made by the way
