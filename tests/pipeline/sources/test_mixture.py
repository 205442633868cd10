from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.sources import FolderSource, MixtureSource, TableSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import section_of
from pipeline.sources import digest, table
from pipeline.sources.listing import Listing
from pipeline.sources.mixture import check_trained, look
from pipeline.sources.splits import divide

IMAGES = section_of("image-classification")


@pytest.fixture
def source(tmp_path: Path) -> MixtureSource:
    """A folder and a table that share the class "cat", and a file's name."""
    for name in ("train/dog/1.jpg", "train/cat/2.jpg", "val/cat/3.jpg", "train/cat/notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "train" / "cat").mkdir(parents=True)
    for name in ("train/cat/2.jpg", "5.jpg"):
        (tmp_path / name).touch()
    rows = ["path,label,split", "train/cat/2.jpg,ant,train", "5.jpg,cat,val", "6.jpg,,train"]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    return MixtureSource(
        kind="mixture",
        of={
            "web": TableSource(kind="table", path=str(tmp_path / "table.csv")),
            "photos": FolderSource(kind="folder", path=str(tmp_path / "photos")),
        },
    )


def seen(listing: Listing) -> list[tuple[str, str | None, tuple[str, ...], str]]:
    return [(c.key, c.source, c.labels, c.split) for c in listing.candidates]


def test_sources_follow_each_other_by_name(source: MixtureSource) -> None:
    listing = look(source, IMAGES, Split())
    assert seen(listing) == [
        ("photos/train/cat/2.jpg", "photos", ("cat",), "train"),
        ("photos/train/dog/1.jpg", "photos", ("dog",), "train"),
        ("photos/val/cat/3.jpg", "photos", ("cat",), "val"),
        ("web/5.jpg", "web", ("cat",), "val"),
        ("web/train/cat/2.jpg", "web", ("ant",), "train"),
    ]
    assert listing.classes() == ["cat", "dog", "ant"]  # as the first source numbers its own, then what is new
    assert listing.others == {".txt": 1}
    assert list(listing.refused) == ["web/row 3"]
    assert not listing.held_out_by_ratio


def test_the_order_in_which_sources_are_written_does_not_matter(source: MixtureSource) -> None:
    turned = MixtureSource(kind="mixture", of=dict(reversed(source.of.items())))
    assert seen(look(turned, IMAGES, Split())) == seen(look(source, IMAGES, Split()))
    assert digest(turned.model_dump()) == digest(source.model_dump())


def test_the_digest_knows_every_source(source: MixtureSource, tmp_path: Path) -> None:
    before = digest(source.model_dump())
    (tmp_path / "photos" / "train" / "dog" / "9.jpg").touch()
    after = digest(source.model_dump())
    assert after != before
    (tmp_path / "table.csv").write_text("path,label\n5.jpg,cat\n")
    assert digest(source.model_dump()) not in (before, after)


def test_a_wrong_source_is_named(source: MixtureSource, tmp_path: Path) -> None:
    (tmp_path / "table.csv").unlink()
    for call in (lambda: look(source, IMAGES, Split()), lambda: digest(source.model_dump())):
        with pytest.raises(ZoetropeError, match=r"^data.source.of.web: data.source.path: "):
            call()


def test_what_a_source_leaves_open_is_held_out_as_it_would_be_alone(source: MixtureSource, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("path,label\n" + "".join(f"{i}.jpg,cat\n" for i in range(30)))
    split = Split(val=0.5)
    web = source.of["web"]
    assert isinstance(web, TableSource)
    alone = divide(table.look(web, IMAGES, split), split)
    mixed = divide(look(source, IMAGES, split), split)
    assert mixed.held_out_by_ratio
    assert {c.key: c.split for c in mixed.candidates if c.source == "web"} == {
        f"web/{c.key}": c.split for c in alone.candidates
    }
    assert [c.split for c in mixed.candidates if c.source == "photos"] == ["train", "train", "val"]


def test_a_source_without_training_samples_is_named(source: MixtureSource, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("path,label\n5.jpg,cat\n")
    split = Split(val=0.999)
    with pytest.raises(ZoetropeError, match=r"^data.source.of.web: has no training sample. Add samples, "):
        check_trained("web", [c for c in divide(look(source, IMAGES, split), split).candidates if c.source == "web"])
