import json
import shutil
import uuid
from pathlib import Path

import pytest
from PIL import Image

from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.mlflow_run import (
    experiment_of,
    log_dataset,
    log_files,
    log_images,
    open_run,
    set_status,
    set_tags,
)


@pytest.fixture(scope="module")
def tracking(mlflow_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(mlflow_tables, folder)
    return resolve(f"sqlite:///{folder}/mlflow.db", folder)


def opened(tracking: Tracking, run_id: str | None = None, params: dict[str, object] | None = None) -> str:
    return open_run(tracking, "study", "first", uuid.uuid4().hex, run_id, params, {"git": "abc"})


def test_a_run_has_its_name_parameters_tags_and_place(tracking: Tracking) -> None:
    many: dict[str, object] = {f"model.option.{i}": i for i in range(250)}
    run = client(tracking).get_run(opened(tracking, params={**many, "long": "x" * 7000}))
    assert run.info.run_name == "first"
    assert run.info.status == "RUNNING"
    assert run.data.tags["git"] == "abc"
    assert len(run.data.params) == 251
    assert run.data.params["model.option.249"] == "249"
    assert run.data.params["long"] == "x" * 6000
    assert run.info.artifact_uri.startswith(str(tracking.artifact_location))


def test_tags_take_the_place_of_others_and_one_is_the_name(tracking: Tracking) -> None:
    run_id = opened(tracking)
    for name in ("study: top-1 71.4%", "study: top-1 80.0%"):
        set_tags(tracking, run_id, {"mlflow.runName": name, "mlflow.note.content": "x" * 9000, "of [mine]": name})
    run = client(tracking).get_run(run_id)
    assert run.info.run_name == run.data.tags["of _mine_"] == "study: top-1 80.0%"
    assert run.data.tags["mlflow.note.content"] == "x" * 8000
    assert run.data.tags["git"] == "abc"
    assert experiment_of(tracking, run_id) == run.info.experiment_id


def test_a_resume_goes_on_in_the_same_run_and_changes_no_parameter(tracking: Tracking) -> None:
    first = opened(tracking, params={"lr": 0.1})
    set_status(tracking, first, "FAILED", 1_700_000_000_000)
    assert opened(tracking, first, {"lr": 0.2, "batch": 64}) == first
    run = client(tracking).get_run(first)
    assert (run.info.status, run.info.end_time) == ("FAILED", 1_700_000_000_000)
    assert run.data.params == {"lr": "0.1", "batch": "64"}
    for status in ("RUNNING", "FINISHED"):
        set_status(tracking, first, status, None)
        assert client(tracking).get_run(first).info.status == status


def test_a_run_is_found_by_its_key_when_its_id_was_lost(tracking: Tracking) -> None:
    first = open_run(tracking, "study", "first", "the-key", began_ms=1_700_000_000_000)
    assert open_run(tracking, "study", "first", "the-key") == first
    assert client(tracking).get_run(first).info.start_time == 1_700_000_000_000
    other = open_run(tracking, "study", "first", "another-key")
    assert other != first
    client(tracking).delete_run(first)
    assert open_run(tracking, "study", "first", "the-key") not in (first, other)


def test_a_run_that_is_gone_is_made_anew(tracking: Tracking) -> None:
    deleted = opened(tracking)
    client(tracking).delete_run(deleted)
    assert opened(tracking, deleted) != deleted
    assert opened(tracking, "0" * 32) != "0" * 32
    assert opened(tracking, "not/an id") != "not/an id"


def test_a_deleted_experiment_is_restored(tracking: Tracking) -> None:
    first = open_run(tracking, "thrown away", "a", "a")
    client(tracking).delete_experiment(client(tracking).get_run(first).info.experiment_id)
    assert open_run(tracking, "thrown away", "b", "b") != first


def test_files_keep_their_places_and_twice_is_as_good_as_once(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("a.txt", "figures/b.txt"):
        (tmp_path / name).write_text(name)
    run_id = opened(tracking)
    for _ in range(2):
        log_files(tracking, run_id, tmp_path)
    assert sorted(file.path for file in client(tracking).list_artifacts(run_id)) == ["a.txt", "figures"]
    assert Path(client(tracking).download_artifacts(run_id, "figures/b.txt")).read_text() == "figures/b.txt"


def test_pictures_stand_in_the_grid_of_their_name(tracking: Tracking, tmp_path: Path) -> None:
    Image.new("RGBA", (3000, 1500), "red").save(tmp_path / "worst.png")
    run_id = opened(tracking)
    log_images(tracking, run_id, tmp_path)
    place = Path(client(tracking).get_run(run_id).info.artifact_uri) / "images"
    names = [path.name for path in place.iterdir()]
    assert len(names) == 2  # one of them compressed, for the grid
    assert all(name.startswith("worst+step+0+timestamp+") for name in names)
    with Image.open(next(path for path in place.iterdir() if path.suffix == ".png")) as picture:
        assert picture.size == (1024, 512)


def test_the_dataset_is_an_input_for_training_once(tracking: Tracking) -> None:
    run_id = opened(tracking)
    for _ in range(2):
        log_dataset(tracking, run_id, "digits", "f" * 64, "/store/shard-1", {"train": 960})
    inputs = client(tracking).get_run(run_id).inputs
    assert inputs is not None
    (entry,) = inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("digits", "f" * 36)
    assert json.loads(entry.dataset.profile or "") == {"train": 960}
    assert json.loads(entry.dataset.source) == {"uri": "/store/shard-1"}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]


@pytest.mark.slow
def test_a_folder_of_any_name(tmp_path: Path) -> None:
    name = "my%20 st?re #1"
    tracking = resolve(None, tmp_path / name)
    run_id = opened(tracking)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a")
    log_files(tracking, run_id, tmp_path / "files")
    assert Path(client(tracking).download_artifacts(run_id, "a.txt")).read_text() == "a"
    assert {path.name for path in tmp_path.iterdir()} == {name, "files"}
    assert {path.name for path in (tmp_path / name).iterdir()} == {"mlflow.db", "mlartifacts"}
    assert (tmp_path / name / "mlartifacts" / run_id / "artifacts" / "a.txt").is_file()
