"""Which checkpoint a training goes on from when some are damaged; with Ray Train around it in test_fit.py."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.train import Checkpoint

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.checkpoints import fetched, name_of, newest_whole, steps_of, write
from pipeline.shards.dataset import Dataset
from pipeline.store.folder_store import FolderParts
from pipeline.store.objects import Objects
from pipeline.store.remote import RemoteParts
from pipeline.training.checkpoint import DIGEST, FILE, State, read
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tests.pipeline.training.test_loop import assert_same

Damage = Callable[[Path], Any]


def parts_in(folder: Path) -> FolderParts:
    for path in (folder / "out", folder / "scratch/ray"):
        path.mkdir(parents=True, exist_ok=True)
    return FolderParts(folder / "out", folder / "scratch")


def trained(recipe: Any, dataset: Dataset, parts: Any, kept: list[Checkpoint]) -> list[str]:
    """Go on from the newest of `kept`, which grows; returns what the user was told."""
    said: list[str] = []
    before = list(kept)

    def on_checkpoint(step: int, state: State, metrics: dict[str, float]) -> None:
        kept.append(write(parts, f"training/{name_of(step, 1, before)}", state.save))

    with newest_whole(before, parts, Process(), said.append) as (newest, resume):
        assert resume is None or read(resume)["step"] == steps_of(newest)
        train(recipe, dataset, Process(), lambda *_: None, on_checkpoint, resume)
    return said


def flip(name: str, at: float) -> Damage:
    def flipped(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(at * (len(content) - 1))] ^= 4
        (folder / name).write_bytes(content)

    return flipped


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


DAMAGES: dict[str, Damage] = {
    "half": lambda folder: os.truncate(folder / FILE, (folder / FILE).stat().st_size // 2),
    "empty": lambda folder: os.truncate(folder / FILE, 0),
    "no file": lambda folder: (folder / FILE).unlink(),
    "empty folder": emptied,
    "first byte": flip(FILE, 0.0),
    "middle": flip(FILE, 0.5),
    "directory of the zip": flip(FILE, 0.99),
    "digest": flip(DIGEST, 0.1),
}


@pytest.fixture(scope="module")
def undisturbed(make_recipe: Any, images: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    recipe = make_recipe("image", **{"train.checkpoint": "2st"})
    kept: list[Checkpoint] = []
    trained(recipe, images, parts_in(tmp_path_factory.mktemp("undisturbed")), kept)
    return recipe, read(Path(kept[-1].path))


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_one_before_a_damaged_one_is_taken(
    undisturbed: tuple[Any, Any], images: Dataset, tmp_path: Path, damage: str
) -> None:
    recipe, expected = undisturbed
    kept: list[Checkpoint] = []
    assert trained(recipe, images, parts_in(tmp_path), kept) == []
    DAMAGES[damage](Path(kept[-1].path))
    (said,) = trained(recipe, images, parts_in(tmp_path), kept)
    assert said.startswith(f"train: {kept[2].path}/{FILE}: cannot be read as a checkpoint (")
    assert said.endswith("; the one before it is taken")
    assert [Path(one.path).name for one in kept[2:]] == ["step-000000006-of-1", "step-000000006-of-1-again"]
    assert_same(read(Path(kept[-1].path)), expected)


def test_all_damaged(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    recipe, kept = make_recipe("image", **{"train.duration": "1ep", "train.checkpoint": "2st"}), list[Checkpoint]()
    trained(recipe, images, parts_in(tmp_path), kept)
    for one in kept:
        DAMAGES["middle"](Path(one.path))
    with pytest.raises(ZoetropeError, match=r"--rerun train` trains from step 0; a ") as raised:
        trained(recipe, images, parts_in(tmp_path), kept)
    assert all(f"{one.path}/{FILE}" in str(raised.value) for one in kept)


def test_a_node_that_does_not_see_the_store_is_told(tmp_path: Path) -> None:
    parts = FolderParts(tmp_path / "absent/out", tmp_path / "absent/scratch")
    with pytest.raises(ZoetropeError, match="does not see"):
        write(parts, "training/step-000000002-of-1", lambda folder: None)


def through(parts: RemoteParts, undisturbed: tuple[Any, Any], images: Dataset, folder: Path, damage: str) -> None:
    """A damaged object in a store whose cache is in `folder`; nothing stays on this node."""
    recipe, expected = undisturbed
    kept: list[Checkpoint] = []
    trained(recipe, images, parts, kept)
    filesystem, base = Objects(parts.url).filesystem()
    path = f"{kept[-1].path}/{FILE}"
    assert path.startswith(base)
    for name in (FILE, DIGEST):
        filesystem.get_file(f"{kept[-1].path}/{name}", str(folder / name))
    DAMAGES[damage](folder)
    for name in (FILE, DIGEST):
        filesystem.rm_file(f"{kept[-1].path}/{name}")
        if (folder / name).exists():
            filesystem.put_file(str(folder / name), f"{kept[-1].path}/{name}")
    (said,) = trained(recipe, images, parts, kept)
    assert said.startswith(f"train: {path}: cannot be read as a checkpoint (")
    with fetched(kept[-1], parts) as there:
        assert_same(read(there), expected)
    assert [one for one in (folder / "cache").rglob("*") if one.is_file()] == []


def test_through_an_object_store(
    undisturbed: tuple[Any, Any], images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    through(RemoteParts("memory://checkpoints/runs", "train", "f" * 32), undisturbed, images, tmp_path, "middle")
