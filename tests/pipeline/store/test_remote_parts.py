"""Parts of a stage's work in a store that is no folder: found again after a kill, on whatever machine."""

import pickle
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.store import StoreError
from pipeline.store.remote import RemoteStore
from tests.pipeline.store.publishing import MANIFEST, SHA_OF_ABC, keys, on_another_machine


def test_parts_are_found_again_on_another_machine(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with suppress(ValueError), store.work("shard", "f1") as work:
        parts = store.parts(work)
        assert parts.finished("p0") is None
        (parts.out / "train").mkdir()
        (parts.out / "train/p0").write_text("abc")
        parts.finish("p0", {"train/p0": SHA_OF_ABC}, {"bad": []})
        assert not (parts.out / "train/p0").exists()
        raise ValueError("killed")
    on_another_machine(monkeypatch, tmp_path)
    with store.work("shard", "f1") as work:
        assert store.parts(work).finished("p0") == {"bad": []}
        (work.out / "dataset.json").write_text("{}")
        artifact = store.publish(work, MANIFEST, {"train/p0": SHA_OF_ABC})
    assert [row["path"] for row in artifact.manifest["files"]] == ["dataset.json", "train/p0"]
    assert artifact.file("train/p0").read_text() == "abc"
    assert keys("work") == []


def test_a_part_that_another_machine_makes_is_published(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with store.work("shard", "f1") as work:
        parts = pickle.loads(pickle.dumps(store.parts(work)))  # noqa: S301  as Ray hands it to a task
        on_another_machine(monkeypatch, tmp_path)
        parts.out.mkdir(parents=True)
        (parts.out / "p0").write_text("abc")
        parts.finish("p0", {"p0": SHA_OF_ABC}, {})
        monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
        (work.out / "dataset.json").write_text("{}")
        artifact = store.publish(work, MANIFEST, {"p0": SHA_OF_ABC})
    assert [row["path"] for row in artifact.manifest["files"]] == ["dataset.json", "p0"]
    assert artifact.file("p0").read_text() == "abc"


def test_a_part_whose_file_is_gone_or_that_is_thrown_away_is_made_again(store: RemoteStore) -> None:
    with suppress(ValueError), store.work("shard", "f1") as work:
        (work.out / "p0").write_text("abc")
        store.parts(work).finish("p0", {"p0": SHA_OF_ABC}, {})
        raise ValueError("killed")
    (at,) = keys("artifacts")
    store.objects.remove([f"artifacts/{at}"])
    with store.work("shard", "f1") as work:
        assert store.parts(work).finished("p0") is None
        (work.out / "p0").write_text("abc")
        store.parts(work).finish("p0", {"p0": SHA_OF_ABC}, {})
        with suppress(StoreError), store.work("other", "f1", fresh=True):
            pass
        assert store.parts(work).finished("p0") == {}
        store.objects.remove(f"work/shard/f1/parts/{name}" for name in store.objects.list("work/shard/f1/parts"))
        with pytest.raises(StoreError, match=r"1 files of stage shard \(p0, ...\) were removed .* while it ran"):
            store.publish(work, MANIFEST, {"p0": SHA_OF_ABC})
    assert store.find("shard", "f1") is None
