import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.decode.frames import encode_frames, frame_files, probe_frames
from pipeline.decode.limits import BadSample
from pipeline.decode.transcode import Transcoded
from pipeline.decode.video import decode_frames


def write(folder: Path, names: list[str], size: tuple[int, int] = (48, 64)) -> Path:
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((*size, 3), 20 * (i % 12), np.uint8))
    return folder


def encoded(folder: Path, *segment: float | None, pattern: str = "*", short_side: int = 48) -> tuple[Transcoded, str]:
    start_s, end_s = segment or (None, None)
    return encode_frames(folder, pattern, 10.0, start_s, end_s, short_side, 4, 10)


def levels(made: Transcoded) -> list[int]:
    """The number of each frame, by its grey."""
    decoded = decode_frames(made.data, np.arange(made.frames))
    return [round(float(frame.mean()) / 20) for frame in decoded]


NAMES = [f"img_{i}.png" for i in range(1, 12)]


def test_frames_follow_each_other_by_number(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", NAMES)
    assert [path.name for path in frame_files(folder, "*")] == NAMES  # 2 before 10
    made, sha256 = encoded(folder)
    assert levels(made) == list(range(11))
    assert (made.width, made.height, made.fps, made.duration_s) == (64, 48, 10.0, 1.1)
    assert sha256 == hashlib.sha256(b"".join((folder / name).read_bytes() for name in NAMES)).hexdigest()
    assert encoded(folder)[0].data == made.data
    header = probe_frames(folder, "*", 10.0)
    assert (header.width, header.height, header.frames, header.duration_s) == (64, 48, 11, 1.1)


def test_a_part_and_a_smaller_size(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", NAMES)
    made, _ = encoded(folder, 0.3, 0.7, short_side=24)
    assert levels(made) == [3, 4, 5, 6]
    assert (made.width, made.height) == (32, 24)
    with pytest.raises(BadSample, match=r"start_s 2 lies behind the video's end at 1.100 s"):
        encoded(folder, 2.0, None)


def test_the_pattern_leaves_flow_out(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "v", [*NAMES, *(f"flow_x_{i}.png" for i in range(1, 12)), ".hidden_3.png", "notes.txt.png"]
    )
    assert [path.name for path in frame_files(folder, "img_*")] == NAMES
    with pytest.raises(
        BadSample, match=r"two frames of one number, flow_x_1.png and img_1.png; set data.source.pattern"
    ):
        encoded(folder)
    with pytest.raises(BadSample, match="no picture named frame_"):
        encoded(folder, pattern="frame_*")


def test_broken_frames_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", NAMES)
    whole = (folder / "img_4.png").read_bytes()
    (folder / "img_4.png").write_bytes(whole[: len(whole) - 40])
    with pytest.raises(BadSample, match=r"^img_4.png: the image is broken or cut off"):
        encoded(folder)
    (folder / "img_4.png").write_bytes(b"")
    with pytest.raises(BadSample, match=r"^img_4.png: the file is empty"):
        encoded(folder)
    write(folder, ["img_4.png"], (32, 64))
    with pytest.raises(BadSample, match=r"img_4.png has 64 x 32 pixels, and the first frame 64 x 48"):
        encoded(folder)
    with pytest.raises(BadSample, match="the folder cannot be listed: No such file"):
        probe_frames(tmp_path / "nowhere", "*", 10.0)
