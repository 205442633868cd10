import json
from pathlib import Path

import pytest

from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.runs import end_run, log_dataset, log_files, open_run


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("store")
    return resolve(f"sqlite:///{folder}/mlflow.db", folder)


def opened(tracking: Tracking, run_id: str | None = None, params: dict[str, object] | None = None) -> str:
    run_id = open_run(tracking, "study", "first", run_id, params or {}, {"git": "abc"})
    assert run_id is not None
    return run_id


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


def test_a_resume_goes_on_in_the_same_run_and_changes_no_parameter(tracking: Tracking) -> None:
    first = opened(tracking, params={"lr": 0.1})
    end_run(tracking, first, "FAILED")
    assert client(tracking).get_run(first).info.status == "FAILED"
    assert opened(tracking, first, {"lr": 0.2, "batch": 64}) == first
    run = client(tracking).get_run(first)
    assert run.info.status == "RUNNING"
    assert run.data.params == {"lr": "0.1", "batch": "64"}
    end_run(tracking, first, "FINISHED")
    assert client(tracking).get_run(first).info.status == "FINISHED"


def test_a_run_that_is_gone_is_made_anew(tracking: Tracking) -> None:
    deleted = opened(tracking)
    client(tracking).delete_run(deleted)
    assert opened(tracking, deleted) != deleted
    assert opened(tracking, "0" * 32) != "0" * 32
    assert opened(tracking, "not/an id") != "not/an id"


def test_a_deleted_experiment_is_restored(tracking: Tracking) -> None:
    first = open_run(tracking, "thrown away", "a", None, {}, {})
    assert first is not None
    client(tracking).delete_experiment(client(tracking).get_run(first).info.experiment_id)
    assert open_run(tracking, "thrown away", "b", None, {}, {}) is not None


def test_files_keep_or_change_their_name(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    run_id = opened(tracking)
    log_files(tracking, run_id, {"a.txt": tmp_path / "a.txt", "figures/b.txt": tmp_path / "a.txt"})
    assert sorted(file.path for file in client(tracking).list_artifacts(run_id)) == ["a.txt", "figures"]
    copied = client(tracking).download_artifacts(run_id, "figures/b.txt")
    assert Path(copied).read_text() == "A"
    assert not Path(copied).is_symlink()


def test_a_missing_file_is_said_and_stops_nothing(tracking: Tracking, caplog: pytest.LogCaptureFixture) -> None:
    log_files(tracking, opened(tracking), {"a.txt": Path("/nowhere/a.txt")})
    assert "not recorded: files a.txt" in caplog.text


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


def test_without_a_server_everything_returns(tmp_path: Path) -> None:
    away = resolve("http://127.0.0.1:9", tmp_path)  # discard: nothing listens there
    assert open_run(away, "e", "n", None, {"a": 1}, {}) is None
    assert open_run(away, "e", "n", "kept", {"a": 1}, {}) == "kept"
    log_dataset(away, "kept", "d", "x", "y", {})
    end_run(away, "kept", "FINISHED")
