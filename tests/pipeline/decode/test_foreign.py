"""What is read as it came gives, by decord, the frames that PyAV gives one after the other, or is refused by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.decode import foreign
from pipeline.decode.foreign import check_video, probe_foreign
from pipeline.decode.limits import BadSample
from pipeline.decode.video import decode_frames
from tests.videos import ALL, FRAMES, OPEN_GOP, PARTS, SOURCES, avi_of_a_pipe, number_of, sequential, video

CASES = Path(__file__).parents[2] / "cases"

REFUSED_AS_THEY_ARE = {
    "edit list": r"decord counts \d+ frames of \d\d",
    "edit list into the second GOP": r"decord counts \d+ frames of \d\d",
    "begins without a key frame": "does not start with a key frame",
    "begins in an open GOP": "open GOPs",
    "open gop": "open GOPs",
    "open gop hevc": "open GOPs",
    "fragmented": "fragmented",
    "av1": "AV1 in MP4 cannot be read frame by frame as it is; set shard.video.transcode: true",
    "begins at a recovery point": "does not start with a key frame",
    "hevc, begins within an open GOP": "does not start with a key frame",
}


@pytest.mark.parametrize("name", [*PARTS, *SOURCES])
def test_a_video_that_is_read_as_it_is_gives_these_frames_or_is_refused(name: str) -> None:
    data, expected = (PARTS[name][0](), PARTS[name][1]) if name in PARTS else (video(**SOURCES[name]), ALL)
    if name in REFUSED_AS_THEY_ARE:
        with pytest.raises(BadSample, match=REFUSED_AS_THEY_ARE[name]):
            probe_foreign(data, "video")
        with pytest.raises(BadSample):
            check_video(data)
        return
    found = probe_foreign(data, "video")
    assert found.frames == check_video(data).frames == len(expected)
    for order in (np.arange(found.frames), np.random.Generator(np.random.Philox(0)).permutation(found.frames)):
        assert [number_of(frame) for frame in decode_frames(data, order)] == [expected[i] for i in order]


def test_check_video_counts() -> None:
    data = video(options={"bf": "3"})
    checked = check_video(data)
    assert (checked.data, checked.width, checked.height, checked.frames) == (data, 96, 72, FRAMES)
    assert (checked.fps, checked.duration_s) == (25.0, pytest.approx(2.4))


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (270, 3)])
@pytest.mark.parametrize("size", [(72, 96), (96, 160)])  # decord itself fails at a width of 72
def test_a_rotated_video_stored_as_it_is_decodes_upright(rotation: int, turns: int, size: tuple[int, int]) -> None:
    data = video(rotation=rotation, size=size)
    frames = decode_frames(data, np.arange(FRAMES))
    checked = check_video(data)
    assert (checked.height, checked.width) == frames.shape[1:3] == (size if turns == 2 else size[::-1])
    assert [number_of(np.rot90(frame, -turns)) for frame in frames] == list(range(FRAMES))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rotated.mkv", "decord does not show its frames upright; set shard.video.transcode: true"),
        ("h263.avi", "H263 in AVI cannot be read frame by frame"),
        ("h264_bframes.avi", "H264 in AVI cannot be read frame by frame"),
        ("av1.mp4", "AV1 in MP4 cannot be read frame by frame as it is; set shard.video.transcode: true"),
        ("h264_cut_at_recovery_point.mp4", "open GOPs"),
    ],
)
def test_a_file_of_which_decord_gives_other_frames_is_refused_by_name(name: str, reason: str) -> None:
    data = (CASES / name).read_bytes()
    for read in (lambda: check_video(data), lambda: probe_foreign(data, "video")):
        with pytest.raises(BadSample, match=reason) as error:
            read()
        assert "use kind: folder or table" in error.value.reason, "the way out for a tar"


@pytest.mark.parametrize(
    "name", ["avi_with_mp3.avi", "avi_null_frames.avi", "mkv_audio_longer.mkv", "mkv_subtitle_longer.mkv", "clip.m4v"]
)
def test_a_file_that_is_read_as_it_is(name: str) -> None:
    data = (CASES / name).read_bytes()
    truth = [number_of(frame) for frame in sequential(data)]
    found = probe_foreign(data, "video")
    assert (found.width, found.height, found.frames) == (192, 144, len(truth))
    assert check_video(data).frames == len(truth)
    order = np.random.Generator(np.random.Philox(1)).permutation(len(truth))
    assert [number_of(frame) for frame in decode_frames(data, order)] == [truth[i] for i in order]


@pytest.mark.parametrize("rotation", [0, 90, 180])
def test_a_mirrored_video_is_refused(rotation: int) -> None:
    with pytest.raises(BadSample, match="does not show its frames upright"):
        probe_foreign(video(rotation=rotation, mirrored=True), "video")


def test_the_size_is_that_of_the_frames_that_the_feed_sees() -> None:
    found = probe_foreign(video(rotation=90, size=(96, 160)), "video")
    assert (found.width, found.height) == (96, 160)
    assert decode_frames(video(rotation=90, size=(96, 160)), np.array([0])).shape == (1, 160, 96, 3)


def test_another_picture_than_pyavs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard behind the table of kinds: a decord that gives the frame before."""
    monkeypatch.setattr(foreign, "decode_frames", lambda data, order: decode_frames(data, np.maximum(order - 1, 0)))
    with pytest.raises(BadSample, match="decord gives another picture for frame"):
        probe_foreign(video(), "video")
    with pytest.raises(BadSample, match="decord gives another picture for frame"):
        check_video(video())


@pytest.mark.parametrize("container", ["flv", "mpegts", "mpeg", "asf"])
def test_containers_that_are_never_read_as_they_are(container: str) -> None:
    codec = "mpeg2video" if container == "mpeg" else "libx264"
    with pytest.raises(BadSample, match="cannot be read frame by frame as it is"):
        probe_foreign(video(container, codec), "video")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (avi_of_a_pipe, "MPEG4 in AVI .*: it was written to a pipe"),
        (lambda: video("matroska", container_options={"live": "1"}), "H264 in Matroska .*: decord cannot open"),
        (lambda: video(options=OPEN_GOP), "H264 in MP4 .*: it has open GOPs"),
        (lambda: video("avi", "mpeg4", options={"bf": "2"}), "MPEG4 in AVI .*: its frames have no times"),
    ],
    ids=["written to a pipe", "live", "open gops", "no times"],
)
def test_what_is_refused_is_told_by_codec_and_container(data: Callable[[], bytes], reason: str) -> None:
    for read in (check_video, partial(probe_foreign, kind="video")):
        with pytest.raises(BadSample, match=rf"^{reason}.*; set shard\.video\.transcode: true"):
            read(data())
