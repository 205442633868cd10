"""Images and masks in folders: which belong together, in which split, and what lacks its half."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.sources import ImagesSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Segmentation
from pipeline.sources.images import digest, look
from pipeline.sources.listing import Listing
from pipeline.sources.splits import divide

TASK = Segmentation(kind="segmentation")
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes empty files in a folder."""

    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def listed(root: Path, path: str, masks: str | None = "masks", **more: Any) -> Listing:
    folders = {"masks": str(root / masks)} if masks else {}
    return divide(look(source(root, path, **folders, **more), TASK, Split()), Split(val=0.5))


def source(root: Path, path: str, **more: Any) -> ImagesSource:
    return ImagesSource(kind="images", path=str(root / path), **more)


def pairs(listing: Listing, root: Path) -> list[tuple[str, str, dict[str, str]]]:
    return [
        (one.key, one.split, {name: str(Path(path).relative_to(root)) for name, path in one.members.items()})
        for one in listing.candidates
    ]


@pytest.mark.parametrize(("train", "val"), [("train", "val"), ("training", "validation")])
def test_folders_of_splits(make: Make, train: str, val: str) -> None:
    root = make(
        f"images/{train}/b/1.jpg",
        f"images/{val}/2.PNG",
        f"masks/{train}/b/1.png",
        f"masks/{val}/2.png",
        f"images/{train}/notes.txt",
    )
    listing = listed(root, "images/{split}", "masks/{split}", classes=["sky", "road"])
    assert pairs(listing, root) == [
        ("train/b/1.jpg", "train", {"seg.png": f"masks/{train}/b/1.png"}),
        ("val/2.PNG", "val", {"seg.png": f"masks/{val}/2.png"}),
    ]
    assert listing.candidates[0].path == str(root / f"images/{train}/b/1.jpg")
    assert not listing.held_out_by_ratio
    assert listing.others == {".txt": 1}
    assert listing.classes() == ["sky", "road"]  # in their own order, though no mask was read
    assert listing.refused == {}


def test_a_test_folder_counts_where_it_has_masks(make: Make) -> None:
    root = make(
        *(f"{kind}/{split}/1.png" for kind in ("images", "masks") for split in ("training", "valid", "testing"))
    )
    listing = listed(root, "images/{split}", "masks/{split}")
    assert [(one.key, one.split) for one in listing.candidates] == [
        ("test/1.png", "test"),
        ("train/1.png", "train"),
        ("val/1.png", "val"),
    ]
    before = digest(source(root, "images/{split}", masks=str(root / "masks/{split}")))
    (root / "masks/testing/1.png").unlink()
    assert digest(source(root, "images/{split}", masks=str(root / "masks/{split}"))) != before
    (root / "masks/testing").rmdir()
    assert [one.split for one in listed(root, "images/{split}", "masks/{split}").candidates] == ["train", "val"]


def test_without_val_it_is_held_out_of_train(make: Make) -> None:
    kinds = (("images", "jpg"), ("masks", "png"))
    root = make(
        *(f"{kind}/train/{i}.{end}" for i in range(20) for kind, end in kinds),
        *(f"{kind}/test/1.{end}" for kind, end in kinds),
    )
    listing = listed(root, "images/{split}", "masks/{split}")
    assert listing.held_out_by_ratio
    assert {one.split for one in listing.candidates if one.key.startswith("train/")} == {"train", "val"}
    assert [one.key for one in listing.candidates if one.split == "test"] == ["test/1.jpg"]


def test_a_ratio_holds_out_by_the_path(make: Make) -> None:
    root = make(*(f"{kind}/{i}.{end}" for i in range(20) for kind, end in (("images", "jpg"), ("masks", "png"))))
    before = {one.key: one.split for one in listed(root, "images").candidates}
    assert set(before.values()) == {"train", "val"}
    make("images/new.jpg", "masks/new.png")
    after = {one.key: one.split for one in listed(root, "images").candidates}
    assert before.items() < after.items()


def test_suffixes_as_cityscapes_has_them(make: Make) -> None:
    root = make(
        "left/a/1_leftImg8bit.png",
        "left/a/1_disparity.png",
        "fine/a/1_labels.png",
        "fine/a/1_color.png",
        "fine/a/1_instances.png",
    )
    more = {"image_suffix": "_leftImg8bit", "mask_suffix": "_labels", "instance_suffix": "_instances"}
    listing = listed(root, "left", "fine", instances=str(root / "fine"), **more)
    members = {"inst.png": "fine/a/1_instances.png", "seg.png": "fine/a/1_labels.png"}
    assert [(key, of) for key, _, of in pairs(listing, root)] == [("a/1_leftImg8bit.png", members)]
    assert listing.others["whose names do not end in _leftImg8bit"] == 1
    assert listing.refused == {}


@pytest.mark.parametrize(("names", "more"), [(("1.jpg", "1.png"), {}), (("1.png", "1_L.png"), {"mask_suffix": "_L"})])
def test_both_in_one_folder(make: Make, names: tuple[str, str], more: dict[str, str]) -> None:
    root = make(*(f"data/{name}" for name in names), "data/classes.txt")
    listing = listed(root, "data", "data", **more)
    assert [(key, of) for key, _, of in pairs(listing, root)] == [(names[0], {"seg.png": f"data/{names[1]}"})]
    assert listing.refused == {}
    assert listing.others[".txt"] == 1


def test_instance_maps_alone_are_masks_of_two_classes(make: Make) -> None:
    root = make("images/1.jpg", "objects/1.png")
    listing = listed(root, "images", None, instances=str(root / "objects"))
    assert listing.candidates[0].members == dict.fromkeys(("seg.png", "inst.png"), str(root / "objects/1.png"))
    assert listing.classes() == ["background", "object"]
    named = listed(root, "images", None, instances=str(root / "objects"), classes=["rest", "nucleus"])
    assert named.classes() == ["rest", "nucleus"]


def test_what_lacks_its_half_is_refused(make: Make) -> None:
    root = make("images/1.jpg", "masks/1.png", "images/2.jpg", "masks/3.png", "images/4.jpg", "images/4.png")
    listing = listed(root, "images")
    assert [one.key for one in listing.candidates] == ["1.jpg"]
    assert listing.refused == {
        "2.jpg": f"it has no mask: there is no {root}/masks/2.png",
        "4.jpg": "it and others have one name: 4.jpg, 4.png",
        "4.png": "it and others have one name: 4.jpg, 4.png",
        "masks/3.png": f"it has no image: {root}/images holds no 3.*",
    }


def test_where_nothing_belongs_together_the_suffix_is_told(make: Make) -> None:
    root = make("images/1.jpg", "masks/1_mask.png")
    with pytest.raises(ZoetropeError) as caught:
        listed(root, "images")
    assert str(caught.value) == (
        f"data.source.path: {root}/images holds no image with all that belongs to it; 1.jpg: it has no mask: there is "
        f"no {root}/masks/1.png; is 1_mask.png it? Then data.source.mask_suffix=_mask. It should hold images, and in "
        "data.source.masks a PNG of the same name for each."
    )


@pytest.mark.parametrize(
    ("path", "masks", "says"),
    [
        ("images", None, "data.source.masks: is missing, and task.kind segmentation needs masks, or instances."),
        ("images/{split}", "masks", "data.source.masks: has no {split}, and data.source.path has; write it in both."),
        ("images", "masks/{split}", "data.source.path: has no {split}, and data.source.masks has; write it in both."),
        ("no", "masks", "/no does not exist. It should be a folder with images, and in data.source.masks a PNG of "),
        ("text", "masks", "/text holds no image with all that belongs to it; there is 1 x .txt. It should hold "),
    ],
)
def test_what_cannot_be(make: Make, path: str, masks: str | None, says: str) -> None:
    root = make("images/1.jpg", "masks/.hidden", "text/1.txt")
    with pytest.raises(ZoetropeError) as caught:
        listed(root, path, masks)
    assert says in str(caught.value)


def test_the_digest_is_of_masks_and_classes_too(make: Make) -> None:
    root = make("images/1.jpg", "masks/1.png", "objects/1.png")
    names = root / "classes.txt"
    names.write_text("sky\nroad\n")
    folders = {"masks": str(root / "masks"), "instances": str(root / "objects"), "classes": str(names)}
    seen = {digest(source(root, "images", **folders))}
    for path in (root / "images/1.jpg", root / "masks/1.png", root / "objects/1.png"):
        path.write_bytes(b"changed")
        seen.add(digest(source(root, "images", **folders)))
    names.write_text("road\nsky\n")
    seen.add(digest(source(root, "images", **folders)))
    assert len(seen) == 5
    assert digest(source(root, "images", **folders)) in seen


def test_a_folder_of_masks_that_is_not_there_is_named_by_its_key(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    source = ImagesSource(kind="images", path=f"{tmp_path}/images", masks=f"{tmp_path}/mask")
    with pytest.raises(ZoetropeError, match=r"data.source.masks: .*/mask is no folder. It should hold a PNG for each"):
        look(source, Segmentation(kind="segmentation"), Split())
