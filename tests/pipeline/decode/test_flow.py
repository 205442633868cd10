"""Flow: levels by hand, a known motion found again, and files of others."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.decode.flow import compute_flow, encode_given, levels, read_flow, vectors
from pipeline.decode.limits import BadSample
from pipeline.decode.transcode import Transcoded, encode

LIMIT_PX = 20.0


def test_levels_are_those_of_dense_flow() -> None:
    px = np.array([-25, -20, -0.1, 0, 0.1, 3, 20, 99], np.float32)
    assert levels(px, LIMIT_PX).tolist() == [0, 0, 127, 128, 128, 147, 255, 255]
    assert vectors(np.array([0, 128, 255], np.uint8), LIMIT_PX).tolist() == pytest.approx([-20, 20 / 255, 20])


def film(frames: int = 4, motion: tuple[int, int] = (3, -2), side_px: int = 64) -> Transcoded:
    """Blurred noise that moves by whole px a frame."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (128, 128, 3), np.uint8), (0, 0), 2)
    noise = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]  # cv2's hints
    at = [(32 - t * motion[1], 32 - t * motion[0]) for t in range(frames)]
    made = encode(np.stack([noise[y : y + side_px, x : x + side_px] for y, x in at]), 10, crf=5)
    return Transcoded(made, side_px, side_px, frames, 10.0, frames / 10)


def test_a_known_motion_is_found_coded_and_read() -> None:
    data = compute_flow(film(), LIMIT_PX, gop=12, crf=16)
    fields = vectors(read_flow(data, np.arange(4)), LIMIT_PX)
    assert fields.shape == (4, 2, 64, 64)
    inside = fields[:, :, 8:-8, 8:-8]
    error = np.hypot(inside[:, 0] - 3, inside[:, 1] + 2)
    assert error.mean() < 0.25
    assert np.abs(fields[3] - fields[2]).mean() < 0.1  # the last one repeats the one before
    assert data == compute_flow(film(), LIMIT_PX, gop=12, crf=16)


def test_one_frame_stands_still() -> None:
    data = compute_flow(film(frames=1), LIMIT_PX, gop=12, crf=0)
    assert (read_flow(data, np.array([0])) == 128).all()


def write(folder: Path, count: int, side_px: int, x: int, y: int) -> None:
    for i in range(1, count + 1):
        cv2.imwrite(str(folder / f"flow_x_{i:05d}.jpg"), np.full((side_px, side_px), x, np.uint8))
        cv2.imwrite(str(folder / f"flow_y_{i:05d}.jpg"), np.full((side_px, side_px), y, np.uint8))


def beside(folder: Path) -> list[tuple[Path, str]]:
    return [(folder, "flow_x_*"), (folder, "flow_y_*")]


def test_files_are_taken_and_scaled_with_their_video(tmp_path: Path) -> None:
    write(tmp_path, 3, 128, 191, 64)  # +9.96 and -9.96 px at 128 px, half of it at 64 px
    data = encode_given(beside(tmp_path), 10, (None, None), film(), LIMIT_PX, 12, 0)
    fields = read_flow(data, np.arange(4))
    assert (fields[:, 0] == 159).all()
    assert (fields[:, 1] == 96).all()


def test_files_of_a_segment(tmp_path: Path) -> None:
    write(tmp_path, 9, 64, 128, 128)
    cv2.imwrite(str(tmp_path / "flow_x_00004.jpg"), np.full((64, 64), 200, np.uint8))
    data = encode_given(beside(tmp_path), 10, (0.3, 0.7), film(), LIMIT_PX, 12, 0)
    assert read_flow(data, np.arange(4))[:, 0, 0, 0].tolist() == [200, 128, 128, 128]


@pytest.mark.parametrize(
    ("count", "side_px", "says"),
    [(2, 64, "2 fields flow_x_\\* for 4 frames"), (5, 64, "5 fields"), (0, 64, "no picture named flow_x_\\*")],
)
def test_files_that_do_not_fit(tmp_path: Path, count: int, side_px: int, says: str) -> None:
    write(tmp_path, count, side_px, 128, 128)
    with pytest.raises(BadSample, match=says):
        encode_given(beside(tmp_path), 10, (None, None), film(), LIMIT_PX, 12, 0)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    for axis in "xy":
        for i in range(3):
            cv2.imwrite(str(tmp_path / f"flow_{axis}_{i}.jpg"), np.zeros((32, 64), np.uint8))
    with pytest.raises(BadSample, match="64 x 32 pixels, which is another shape"):
        encode_given(beside(tmp_path), 10, (None, None), film(), LIMIT_PX, 12, 0)


def test_files_that_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    """As u/NAME/frame000001.jpg and v/NAME/frame000001.jpg."""
    places = [(tmp_path / axis / "v_run_g01_c01", "frame*.jpg") for axis in "uv"]
    for level, (folder, _) in zip((191, 64), places, strict=True):
        folder.mkdir(parents=True)
        for i in range(1, 4):
            cv2.imwrite(str(folder / f"frame{i:06d}.jpg"), np.full((64, 64), level, np.uint8))
    fields = read_flow(encode_given(places, 10, (None, None), film(), LIMIT_PX, 12, 0), np.arange(4))
    assert (fields[:, 0] == 191).all()
    assert (fields[:, 1] == 64).all()
    (places[1][0] / "frame000002.jpg").unlink()
    with pytest.raises(BadSample, match=r"3 fields .*u/v_run_g01_c01/frame\*.jpg and 2 fields .*v/v_run"):
        encode_given(places, 10, (None, None), film(), LIMIT_PX, 12, 0)
    with pytest.raises(BadSample, match=r"nowhere/frame\*.jpg: the folder cannot be listed: No such file"):
        encode_given([places[0], (tmp_path / "nowhere", "frame*.jpg")], 10, (None, None), film(), LIMIT_PX, 12, 0)
