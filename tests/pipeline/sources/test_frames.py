from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.sources import FramesSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import section_of
from pipeline.sources import frames
from pipeline.sources.listing import FrameFolder, Listing
from pipeline.sources.splits import divide


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def look(root: Path, **options: Any) -> Listing:
    source = FramesSource(kind="frames", path=str(root), fps=12, **options)
    return divide(frames.look(source, section_of("video-classification"), Split()), Split(val=0.5))


def test_a_folder_is_a_video(tmp_path: Path) -> None:
    names = [f"{video}/img_{i:05d}.jpg" for video in ("train/run/1", "train/sit/a/b", "val/run/2") for i in range(3)]
    listing = look(made(tmp_path, *names, "train/run/1/flow_x_1.jpg", "train/notes.txt"), pattern="img_*")
    assert [(c.key, c.labels, c.split, c.path) for c in listing.candidates] == [
        ("train/run/1", ("run",), "train", str(tmp_path / "train/run/1")),
        ("train/sit/a/b", ("sit",), "train", str(tmp_path / "train/sit/a/b")),
        ("val/run/2", ("run",), "val", str(tmp_path / "val/run/2")),
    ]
    assert {candidate.frames for candidate in listing.candidates} == {FrameFolder(12.0, "img_*")}
    assert listing.others == {"not named img_*": 1, ".txt": 1}


def test_a_tree_is_split_by_its_videos(tmp_path: Path) -> None:
    listing = look(
        made(tmp_path, *(f"{name}/{i}/{k}.png" for name in ("run", "sit") for i in range(20) for k in (1, 2)))
    )
    assert len(listing.candidates) == 40
    assert {candidate.split for candidate in listing.candidates} == {"train", "val"}
    assert listing.held_out_by_ratio


def test_what_does_not_look_so(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match="lies beside the class folders"):
        look(made(tmp_path / "a", "run/1.jpg"))
    with pytest.raises(ZoetropeError, match="one folder a class with one folder a video in it"):
        look(made(tmp_path / "b"))
    with pytest.raises(ZoetropeError, match=r"holds no file of .*Does task.kind fit"):
        look(made(tmp_path / "c", "run/1.mp4"))


def test_the_digest_is_of_all_frames(tmp_path: Path) -> None:
    source = FramesSource(kind="frames", path=str(made(tmp_path, "run/1/1.jpg")), fps=12)
    before = frames.digest(source)
    made(tmp_path, "run/1/2.jpg")
    assert frames.digest(source) != before
