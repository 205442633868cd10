"""Runs are found by what people call them; what has no evaluation is said."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.report import contents
from pipeline.report.gather import find
from pipeline.report.page import page_of
from pipeline.store import FolderStore
from pipeline.verbs.report import earlier, of_run
from tests.conftest import tiny_values
from tests.pipeline.report.test_page import evaluated, read
from tests.pipeline.tasks.test_tasks import CASES
from tests.pipeline.test_cli import typed

CURVES = {"throughput/samples_per_s": [[1, 2, 3], [10.0, 30.0, None]], "throughput/data_wait": [[1], [0.25]]}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store with two runs of one recipe, of which the second was not evaluated."""
    store = FolderStore(tmp_path / "store")
    evaluated(CASES["classification"], tmp_path / "made")
    counts = {"train": {"samples": 3, "class_counts": [1, 2, 0]}, "val": {"samples": 5, "class_counts": [2, 1, 2]}}
    bad = {"stage": "ingest", "split": "train", "source": "a/1.jpg", "reason": "it is empty"}
    files = {
        "evaluate": {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir() if path.is_file()},
        "shard": {
            "dataset.json": json.dumps({"splits": counts, "classes": ["cat", "dog", "eel"]}).encode(),
            "quarantine.jsonl": json.dumps(bad).encode(),
        },
        "train": {"environment.txt": b"torch==2.13.0\n"},
    }
    for stage, contained in files.items():
        with store.work(stage, stage[0] * 32) as work:
            for name, content in contained.items():
                (work.out / name).write_bytes(content)
            facts = {"curves": CURVES} if stage == "train" else {}
            git = {"commit": "abc", "dirty": True}
            store.publish(work, {"facts": facts, "duration_s": 2.0, "git": git, "inputs": {}, "values": {}})
    stages: dict[str, Any] = {stage: {"fingerprint": stage[0] * 32} for stage in files}
    values = tiny_values("image") | {"tracking": {"uri": "http://me:s3cret@host"}}
    store.record_run("mine", values, stages).end("done")
    store.record_run("mine", values, {"train": stages["train"]}).end("failed")
    return store


def test_a_run_by_its_names(store: FolderStore, tmp_path: Path) -> None:
    newest, first = (record.name for record in store.records())
    for named in ("mine", first, str(store.home / "runs" / first)):
        assert find(named, store.url).name == first
    for named, words in (
        (newest, f"the run {newest} has no evaluation"),
        ("mime", "unknown run 'mime'; did you mean 'mine'"),
        (str(tmp_path), "holds no evaluation"),
    ):
        with pytest.raises(ZoetropeError, match=words):
            find(named, store.url)
    shutil.copytree(tmp_path / "made", tmp_path / "copy")
    assert find(str(tmp_path / "copy")).name == "copy"


def test_the_page_of_a_run_tells_all_that_the_store_has(store: FolderStore) -> None:
    told = find("mine", store.url)
    assert contents.speed(told) == [("samples a second", "20"), ("share of the time that waits for data", "25%")]
    page = page_of([told])
    reader = read(page)
    assert {"errors", "classes", "data", "time", "recipe", "again"} <= set(reader.ids)
    for text in ("it is empty", "a/1.jpg", "torch==2.13.0", "abc (changed since)", "2.0 s", "eel"):
        assert text in reader.text, text
    assert "s3cret" not in page


def test_a_run_ends_with_its_page(store: FolderStore) -> None:
    first = find("mine", store.url)
    record = store.record_run("mine", {}, dict(first.record["stages"]))
    page = of_run(record, store)
    assert page is not None
    assert page == record.folder / "report.html"
    record.end("done")
    assert earlier(store, first.artifacts) == page
    bare = store.record_run("mine", {}, {})
    assert of_run(bare, store) is None
    bare.end("done")


def test_the_verb(
    store: FolderStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "deep" / "page.html"
    code, said, err = typed(
        capsys, monkeypatch, "report", "mine", str(tmp_path / "made"), "--store", store.url, "--out", str(out)
    )
    assert (code, err) == (0, "")
    assert said.startswith(f"{out} shows mine, ")
    assert "2 runs side by side" in read(out.read_text()).text
