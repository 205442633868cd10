import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import CONVERT
from pipeline.recipe.sources import FolderSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import section_of
from pipeline.sources.class_folders import look, tree_digest, walk
from pipeline.sources.listing import Listing
from pipeline.sources.splits import divide

IMAGES = section_of("image-classification")


def list_folder(root: Path, val_share: float) -> Listing:
    split = Split(val=val_share)
    return divide(look(FolderSource(kind="folder", path=str(root)), IMAGES, split), split)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Makes empty files in a folder: `make("cat/1.jpg", ...)`."""

    def make(*names: str) -> Path:
        root = tmp_path / "source"
        root.mkdir(exist_ok=True)
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        return root

    return make


Make = Callable[..., Path]


def refusal(root: Path) -> str:
    with pytest.raises(ZoetropeError) as caught:
        list_folder(root, 0.2)
    message = str(caught.value)
    assert message.startswith("data.source.path: ")
    assert str(root) in message
    return message


def numbered(folder: str, numbers: Iterable[int]) -> list[str]:
    return [f"{folder}/{i}.jpg" for i in numbers]


def test_train_and_val_folders(make: Make) -> None:
    root = make("train/cat/a.jpg", "train/dog/deep/b.PNG", "val/cat/c.jpg")
    listing = list_folder(root, 0.2)
    assert [(c.key, c.labels, c.split) for c in listing.candidates] == [
        ("train/cat/a.jpg", ("cat",), "train"),
        ("train/dog/deep/b.PNG", ("dog",), "train"),
        ("val/cat/c.jpg", ("cat",), "val"),
    ]
    assert listing.candidates[0].path == str(root / "train" / "cat" / "a.jpg")
    assert not listing.held_out_by_ratio
    assert not listing.others


def test_a_tree_is_split_by_its_paths(make: Make) -> None:
    root = make(*numbered("cat", range(30)), *numbered("dog", range(30)))
    listing = list_folder(root, 0.5)
    assert listing.held_out_by_ratio
    assert {c.labels[0] for c in listing.candidates} == {"cat", "dog"}
    before = {c.key: c.split for c in listing.candidates}
    assert set(before.values()) == {"train", "val"}
    make(*numbered("eel", range(30)))
    (root / "cat" / "3.jpg").unlink()
    after = {c.key: c.split for c in list_folder(root, 0.5).candidates}
    assert {key: split for key, split in before.items() if key != "cat/3.jpg"}.items() <= after.items()


def test_train_alone_is_split_too(make: Make) -> None:
    root = make(*numbered("train/cat", range(30)), *numbered("train/dog", range(30)), "README.md")
    (root / "val").mkdir()
    listing = list_folder(root, 0.5)
    assert {c.split for c in listing.candidates} == {"train", "val"}
    assert {c.labels[0] for c in listing.candidates} == {"cat", "dog"}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("train", "valid", "testing"),
        ("training", "validation", "test"),
        ("Train", "Val", "Test"),
    ],
)
def test_a_test_folder_and_other_names(make: Make, train: str, val: str, test: str) -> None:
    listing = list_folder(make(f"{train}/cat/a.jpg", f"{val}/cat/b.jpg", f"{test}/cat/c.jpg", f"{test}/d.jpg"), 0.2)
    assert {c.key: c.split for c in listing.candidates} == {
        f"{train}/cat/a.jpg": "train",
        f"{val}/cat/b.jpg": "val",
        f"{test}/cat/c.jpg": "test",
    }
    assert listing.others == {f"in {test}": 1}
    assert not listing.held_out_by_ratio


def test_of_two_names_of_a_split_the_first_one_counts(make: Make) -> None:
    listing = list_folder(make("train/cat/a.jpg", "val/cat/b.jpg", "valid/cat/c.jpg", "test/cat/d.heic"), 0.2)
    assert [c.key for c in listing.candidates] == ["train/cat/a.jpg", "val/cat/b.jpg"]
    assert listing.others == {"in valid": 1, ".heic": 1}


def test_without_val_it_is_held_out_of_train(make: Make) -> None:
    names = numbered("train/cat", range(30))
    listing = list_folder(make(*names, *numbered("test/cat", range(9))), 0.5)
    assert listing.held_out_by_ratio
    splits = {c.key: c.split for c in listing.candidates}
    assert {splits[name] for name in names} == {"train", "val"}
    assert {key for key, split in splits.items() if split == "test"} == {f"test/cat/{i}.jpg" for i in range(9)}


def test_a_class_may_be_called_as_a_split_is(make: Make) -> None:
    listing = list_folder(make("training/a/1.jpg", "test/2.jpg", "walking/3.jpg"), 0.5)
    assert listing.classes() == ["test", "training", "walking"]


def test_other_files_are_counted(make: Make) -> None:
    root = make(
        "train/cat/a.jpg",
        "train/dog/b.jpg",
        "val/cat/c.jpg",
        "val/.hidden/x.jpg",
        "train/cat/.DS_Store",
        "train/cat/notes.txt",
        "train/cat/Makefile",
        "train/stray.jpg",
        "other/cat/d.jpg",
        "top.jpg",
    )
    (root / os.fsdecode(b"train/cat/\xff.jpg")).touch()
    listing = list_folder(root, 0.2)
    assert len(listing.candidates) == 3
    assert listing.others == {
        ".txt": 1,
        "without an extension": 1,
        "with a name that is not UTF-8": 1,
        "in other": 1,
        "outside of train/ and val/": 1,
        "outside of a class folder": 1,
    }


def test_a_class_of_which_nothing_can_be_taken_is_known(make: Make) -> None:
    root = make(*numbered("cat", range(9)), *numbered("dog", range(9)))
    make("eel/1.heic", "eel/2.HEIC", "eel/notes.txt", "fox/1.mp4", "annotations/1.xml", "dog/9.heic", "heic.heic")
    listing = list_folder(root, 0.5)
    assert listing.lost == {"eel": f"2 x .heic ({CONVERT['.heic']})", "fox": "1 x .mp4"}
    assert listing.others == {".heic": 4, ".txt": 1, ".mp4": 1, ".xml": 1}
    make(
        *numbered("train/cat", [1]), *numbered("val/cat", [1]), "train/gnu/1.heic", "val/cat/2.heic", "test/yak/1.heic"
    )
    for name in ("cat", "dog", "eel", "fox", "annotations"):
        shutil.rmtree(root / name)
    assert list_folder(root, 0.5).lost == {"gnu": f"1 x .heic ({CONVERT['.heic']})"}


def test_every_kind_that_is_passed_over_is_known(make: Make) -> None:
    root = make(*numbered("cat", range(9)), *numbered("dog", range(9)), *(f"cat/x.{i}" for i in range(8)))
    assert list_folder(root, 0.5).others == {f".{i}": 1 for i in range(8)}


def test_folders_that_are_equal_in_nfc_are_one_class(make: Make) -> None:
    root = make(*numbered("cafe\u0301", range(9)), *numbered("caf\u00e9 ", [9]), *numbered("tea", range(9)))
    listing = list_folder(root, 0.5)
    assert listing.classes() == ["caf\u00e9", "tea"]
    assert {c.key for c in listing.candidates} >= {"cafe\u0301/1.jpg", "caf\u00e9 /9.jpg"}  # as they lie


def test_folders_of_numbers_are_in_their_order(make: Make) -> None:
    root = make(*(f"{name}/{i}.jpg" for name in ("10", "9", "0", "01") for i in range(9)))
    assert list_folder(root, 0.5).classes() == ["0", "01", "9", "10"]


@pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "a\x1b[31m", " ", os.fsdecode(b"\xff")])
def test_folders_whose_names_are_none_of_a_class(make: Make, name: str) -> None:
    says = refusal(make(*numbered("cat", range(9)), *numbered(name, range(9))))
    assert f"has the folder {name!r}, which names no class: its label" in says
    assert says.isprintable()


def test_links_are_followed_but_not_in_circles(make: Make, tmp_path: Path) -> None:
    root = make("cat/a.jpg")
    real = tmp_path / "real"
    real.mkdir()
    (real / "b.jpg").touch()
    (root / "dog").symlink_to(real)
    (real / "self").symlink_to(root)
    (root / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    assert [c.key for c in list_folder(root, 0.2).candidates] == ["cat/a.jpg", "cat/gone.jpg", "dog/b.jpg"]
    assert len(tree_digest(root)) == 64


def test_pipes_are_no_samples(make: Make) -> None:
    root = make("cat/a.jpg")
    os.mkfifo(root / "cat" / "b.jpg")
    assert [key for key, _ in walk(root)] == ["cat/a.jpg"]


def test_the_digest_knows_names_sizes_and_times(make: Make) -> None:
    root = make("cat/a.jpg", "dog/b.jpg")
    seen = [tree_digest(root)]
    assert tree_digest(root) == seen[0]
    (root / "cat" / "a.jpg").write_bytes(b"x")
    os.utime(root / "cat" / "a.jpg", ns=(1, 1))
    seen.append(tree_digest(root))
    os.utime(root / "cat" / "a.jpg", ns=(1, 2))
    seen.append(tree_digest(root))
    (root / "cat" / "a.jpg").rename(root / "cat" / "c.jpg")
    seen.append(tree_digest(root))
    assert len(set(seen)) == 4
    make("cat/.hidden")
    assert tree_digest(root) == seen[-1]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            (),
            "is empty. It should hold one folder a class, or train/ and val/ with one folder a class in each; files",
        ),
        (
            ("cat/a.mp4", "cat/b.mp4"),
            ".tif, .tiff, .webp, but 2 x .mp4. Does task.kind fit this data?",
        ),
        (("cat/a.HEIC", "dog/b.heic"), ".tif, .tiff, .webp, but 2 x .heic: HEIC is not read; convert it: heif-convert"),
        (("a.jpg",), "a.jpg lies beside the class folders. It should hold one folder a class, or train/"),
        (
            ("images/a.txt", "1.jpg", "labels.csv"),
            "with one folder a class in each; if labels.csv says the class of each file, set data.source={kind: table",
        ),
        (("a.jpg", "b.jpg", "c.jpg"), "a.jpg and 2 more lie beside the class folders."),
        (
            ("train/cat/a.jpg", "tests/cat/b.jpg"),
            "has train/ and tests/, but no val/. Name the held-out folder val/, or",
        ),
        (("val/cat/a.jpg",), "has val/. They look like splits, not like classes: it should hold one folder a class"),
        (("val/cat/a.jpg", "Test/cat/b.jpg"), "has Test/, val/. They look like splits"),
        (("train/a.jpg", "val/b.jpg"), "has train/, val/. They look like splits, not like classes"),
    ],
)
def test_folders_of_another_look_are_refused(make: Make, names: tuple[str, ...], says: str) -> None:
    assert says in refusal(make(*names))


def test_no_folder(tmp_path: Path) -> None:
    assert "does not exist. It should be a folder with one folder a class" in refusal(tmp_path / "nowhere")
    (tmp_path / "file.zip").touch()
    assert "file.zip is a file. It should be a folder" in refusal(tmp_path / "file.zip")


def test_a_folder_without_permission() -> None:
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder of mode 0700
        root = Path(name)
        root.chmod(0o755)
        (root / "dog").mkdir(0)
        with not_root():
            message = refusal(root)
        assert f"{root / 'dog'} cannot be listed: Permission denied. Mend its permissions." in message


@contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything, so be nobody for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)
