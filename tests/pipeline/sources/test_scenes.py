from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from pipeline.decode.image import decode_image
from pipeline.decode.outlines import runs
from pipeline.recipe.sources import DigitScenesSource, FolderSource, ImagesSource
from pipeline.sources.drawn import as_files, draw
from pipeline.sources.labelme import said_in
from pipeline.sources.scenes import draw_instances, draw_objects, draw_scenes


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def test_pictures_and_masks_are_the_same_however_they_are_split(tmp_path: Path) -> None:
    draw_scenes(tmp_path / "whole", range(4), 48)
    for part in (range(2, 4), range(2)):
        draw_scenes(tmp_path / "parts", part, 48)
    whole = files(tmp_path / "whole")
    names = (f"{kind}/{i:05d}.{end}" for kind, end in (("images", "jpg"), ("masks", "png")) for i in range(4))
    assert sorted(whole) == sorted(names)
    assert whole == files(tmp_path / "parts")


def test_a_mask_says_what_was_drawn(tmp_path: Path) -> None:
    """Strokes are bright, the photograph below them is darkened, and what lies between is ignored."""
    draw_scenes(tmp_path, range(20), 64)
    for path in sorted((tmp_path / "images").iterdir()):
        pixels = decode_image(path.read_bytes()).astype(int).mean(-1)
        mask = cv2.imread(str(tmp_path / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert (mask.dtype, mask.shape) == (np.uint8, (64, 64))
        classes = set(np.unique(mask).tolist())
        assert {0, 255} < classes
        assert 1 <= len(classes - {0, 255}) <= 2
        assert classes <= {*range(11), 255}
        strokes = (mask > 0) & (mask < 255)
        assert pixels[strokes].mean() > 150 > 128 > pixels[mask == 0].mean()


def test_a_drawn_source_is_read_as_files(tmp_path: Path) -> None:
    source = DigitScenesSource(kind="digit-scenes", samples=20, size_px=32)
    draw(source, tmp_path, range(3))
    read = as_files(source, tmp_path)
    assert isinstance(read, ImagesSource)
    assert read.classes == ["background", *(str(digit) for digit in range(10))]
    assert not isinstance(read, FolderSource)
    assert sorted(path.name for path in Path(read.path).iterdir()) == ["00000.jpg", "00001.jpg", "00002.jpg"]


def test_instances_are_the_same_pictures_with_strokes(tmp_path: Path) -> None:
    """Boxes are those of YOLO's files, and bright is what the masks say."""
    draw_objects(tmp_path / "boxes", range(4), 96)
    draw_instances(tmp_path / "masks", range(4), 96)
    for i in range(4):
        content = (tmp_path / "masks" / "images" / f"{i:05d}.jpg").read_bytes()
        assert content == (tmp_path / "boxes" / "images" / f"{i:05d}.jpg").read_bytes()
        pixels = decode_image(content).astype(int).mean(-1)
        _, things = said_in((tmp_path / "masks" / "labels" / f"{i:05d}.json").read_bytes(), {}, Counter())
        lines = (tmp_path / "boxes" / "labels" / f"{i:05d}.txt").read_text().splitlines()
        assert [one.name for one in things] == [line.split()[0] for line in lines]
        for one in things:
            strokes = runs(one.outline, 96, 96)
            y, x = np.nonzero(strokes)
            assert (x.min(), y.min(), x.max() + 1, y.max() + 1) == one.box
            assert pixels[strokes].mean() > 150
