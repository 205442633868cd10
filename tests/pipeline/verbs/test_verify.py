"""`verify` finds what is wrong with a store's files, and names them; every fault is made for real."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.shards.dataset import Dataset
from pipeline.store import FolderStore
from pipeline.store.artifact import Store
from pipeline.store.remote import RemoteStore
from pipeline.verbs.verify import Fault, check_artifact

MARK = "ab" * 16
TAR, INDEX = "train/shard-000001.tar", "train/shard-000001.index.json"


def publish(store: Store, dataset: Path) -> None:
    """The dataset folder as an artifact of the shard stage."""
    with store.work("shard", MARK) as work:
        shutil.copytree(dataset, work.out, dirs_exist_ok=True)
        store.publish(work, {"version": 1, "values": {}, "inputs": {}, "code": {}, "facts": {}, "run": "r"})


@pytest.fixture
def folder(images: Dataset, tmp_path: Path) -> FolderStore:
    """A store in a folder, with a dataset of three shards."""
    store = FolderStore(tmp_path / "store")
    publish(store, images.folder)
    return store


@pytest.fixture
def remote(images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteStore]:
    """The same in a store that is no folder."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    store = RemoteStore("memory://verify/runs")
    publish(store, images.folder)
    yield store
    filesystem, path = store.objects.filesystem()
    filesystem.rm(path, recursive=True)


def faults(store: Store) -> list[Fault]:
    return [fault for holding in store.holdings() for fault in check_artifact(store, holding)]


def flip(at: int) -> Callable[[Path], None]:
    def flipped(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)

    return flipped


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def test_a_whole_store(folder: FolderStore, remote: RemoteStore) -> None:
    assert faults(folder) == faults(remote) == []


@pytest.mark.parametrize("name", ["dataset.json", TAR, INDEX, "val/shard-000000.tar"])
@pytest.mark.parametrize(
    ("harm", "said"), [(flip(600), "is damaged: its sha256"), (cut, "bytes, and "), (Path.unlink, "is missing")]
)
def test_a_harmed_file_is_named(folder: FolderStore, name: str, harm: Callable[[Path], None], said: str) -> None:
    path = folder.root / "artifacts" / "shard" / MARK / name
    path.chmod(0o644)
    harm(path)
    found = faults(folder)
    assert {fault.file for fault in found} >= {name}
    assert any(said in fault.what for fault in found if fault.file == name)
    # Of a harmed tar its headers may say the same once more; the other files are whole.
    assert {fault.file for fault in found} == {name}


def test_every_single_byte_of_a_tar_counts(folder: FolderStore) -> None:
    path = folder.root / "artifacts" / "shard" / MARK / TAR
    path.chmod(0o644)
    for at in (0, 511, 512, path.stat().st_size - 1):
        flip(at)(path)
        assert [fault.file for fault in faults(folder)][:1] == [TAR], at
        flip(at)(path)
    assert faults(folder) == []


def relist(root: Path, name: str) -> None:
    """Make manifest and dataset.json say what the file is now: only its content is then wrong."""
    path = root / name
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = json.loads((root / "manifest.json").read_text())
    row = next(row for row in manifest["files"] if row["path"] == name)
    old, row["sha256"], row["bytes"] = row["sha256"], new, path.stat().st_size
    dataset = root / "dataset.json"
    if name != "dataset.json":
        dataset.chmod(0o644)
        dataset.write_text(dataset.read_text().replace(old, new))
    (root / "manifest.json").write_text(json.dumps(manifest))
    if name != "dataset.json":
        relist(root, "dataset.json")


def move_members(index: dict) -> None:
    index["offsets"][0][0], index["offsets"][0][1] = index["offsets"][0][1], index["offsets"][0][0]


def out_of_bounds(index: dict) -> None:
    index["offsets"][0][2] = 512 * 10**6


def rename_key(index: dict) -> None:
    index["keys"][0] = "999999999"


def drop_a_member(index: dict) -> None:
    index["offsets"][0][0] = index["lengths"][0][0] = -1


@pytest.mark.parametrize(
    ("change", "file", "said"),
    [
        (move_members, TAR, "its index says that 000000016."),
        (out_of_bounds, INDEX, "does not lie inside of shard-000001.tar"),
        (rename_key, TAR, "its index names the member 999999999."),
        (drop_a_member, TAR, "1 members that its index does not name, such as 000000016."),
    ],
)
def test_an_index_that_does_not_fit(
    folder: FolderStore,
    change: Callable[[dict], None],
    file: str,
    said: str,
) -> None:
    root = folder.root / "artifacts" / "shard" / MARK
    index = json.loads((root / INDEX).read_text())
    change(index)
    (root / INDEX).chmod(0o644)
    (root / INDEX).write_text(json.dumps(index))
    relist(root, INDEX)
    found = faults(folder)
    assert {fault.file for fault in found} == {file}
    assert any(said in fault.what for fault in found)


def test_the_index_of_another_tar(folder: FolderStore) -> None:
    root = folder.root / "artifacts" / "shard" / MARK
    other = "train/shard-000000.index.json"
    (root / other).chmod(0o644)
    shutil.copy(root / INDEX, root / other)
    assert {fault.file for fault in faults(folder)} == {other, "train/shard-000000.tar"}
    relist(root, other)
    said = [fault.what for fault in faults(folder) if fault.file == "train/shard-000000.tar"]
    assert "its index is that of shard-000001.tar" in said
    assert "its index has 10 samples, and dataset.json says 16" in said
    assert any("which is not in the tar" in what for what in said)


def test_damage_in_an_object_store_is_found_though_the_cache_is_whole(remote: RemoteStore) -> None:
    filesystem, base = remote.objects.filesystem()
    tar = next(path for path in filesystem.find(base) if path.endswith(TAR))
    index = next(path for path in filesystem.find(base) if path.endswith("val/shard-000000.index.json"))
    content = bytearray(filesystem.cat_file(tar))
    content[700] ^= 1
    filesystem.pipe_file(tar, bytes(content))
    filesystem.rm_file(index)
    assert sorted((fault.file, fault.what) for fault in faults(remote)) == [
        (TAR, "is damaged: its sha256 is not that of its dataset.json"),
        ("val/shard-000000.index.json", "is missing"),
    ]


def test_a_torn_manifest(folder: FolderStore) -> None:
    path = folder.root / "artifacts" / "shard" / MARK / "manifest.json"
    path.write_text(path.read_text()[:50])
    assert [fault.file for fault in faults(folder)] == ["manifest.json"]


def test_a_manifest_that_names_files_elsewhere(folder: FolderStore) -> None:
    path = folder.root / "artifacts" / "shard" / MARK / "manifest.json"
    path.write_text(path.read_text().replace("dataset.json", "../../dataset.json"))
    assert [fault.file for fault in faults(folder)] == ["manifest.json"]


def test_the_verb(folder: FolderStore) -> None:
    whole = CliRunner().invoke(app, ["verify", str(folder.root)])
    assert (whole.exit_code, "1 artifact of " in whole.output) == (0, True)
    path = folder.root / "artifacts" / "shard" / MARK / TAR
    path.chmod(0o644)
    flip(600)(path)
    broken = CliRunner().invoke(app, ["verify", str(folder.root)])
    assert broken.exit_code == 1
    assert f"shard {MARK[:12]}: {TAR}: is damaged" in broken.output
    assert "1 fault in 1 artifact. " in broken.output
    assert "--rerun shard" in broken.output


def test_the_verb_loads_nothing_heavy(folder: FolderStore) -> None:
    code = (
        "import sys; sys.argv = ['', 'verify', sys.argv[1]]\n"
        "from pipeline.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'mlflow', 'av', 'cv2', 'webdataset', 'albumentations'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder.root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
