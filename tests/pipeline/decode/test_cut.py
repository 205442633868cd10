"""A segment's frame i is the source's frame at start + i, whatever the container and its groups of pictures."""

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode import cut
from pipeline.decode.container import open_video, video_stream
from pipeline.decode.cut import frames_between, is_behind, is_inside, probe_segment
from pipeline.decode.limits import BadSample
from pipeline.decode.probe import Probe
from pipeline.decode.transcode import transcode
from pipeline.decode.video import decode_frames

FRAMES, FPS = 60, 10


def picture(number: int) -> np.ndarray:
    """uint8 [48, 64, 3] that tells its number: six bits as bright or dark fields."""
    pixels = np.full((48, 64, 3), 60, np.uint8)
    for bit in range(6):
        pixels[8:40, 10 * bit + 2 : 10 * bit + 12] = 220 if number >> bit & 1 else 20
    return pixels


def number_of(pixels: np.ndarray) -> int:
    height, width = pixels.shape[:2]
    columns = [int((10 * bit + 7) * width / 64) for bit in range(6)]
    return sum(1 << bit for bit, x in enumerate(columns) if pixels[height // 2, x].mean() > 120)


def write(path: Path, codec: str = "libx264", pts: list[int] | None = None, **options: str) -> Path:
    """A video of numbered frames; `pts` in tenths of a second, when they are not every one."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=FPS, options={"g": "12", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, FPS)
        for i in range(FRAMES if pts is None else len(pts)):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = i if pts is None else pts[i], Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut_out(path: Path, start_s: float | None, end_s: float | None) -> list[int]:
    with path.open("rb") as file, open_video(file) as container:
        frames = frames_between(container, video_stream(container), start_s, end_s)
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in frames]


SOURCES = {
    "plain.mp4": ("libx264", {"bf": "0"}),
    "b_frames.mp4": ("libx264", {"bf": "3", "x264-params": "scenecut=0:b-adapt=0"}),
    "open_gop.mp4": ("libx264", {"bf": "3", "x264-params": "open-gop=1:scenecut=0:b-adapt=0"}),
    "open_gop.mkv": ("libx264", {"bf": "3", "x264-params": "open-gop=1:scenecut=0:b-adapt=0"}),
    "open_gop_hevc.mp4": ("libx265", {"x265-params": "open-gop=1:bframes=3:scenecut=0:keyint=12:log-level=none"}),
    "one_key_frame.mp4": ("libx264", {"g": "250", "x264-params": "scenecut=0"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4.avi": ("mpeg4", {"bf": "0"}),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {name: write(folder / name, codec, None, **options) for name, (codec, options) in SOURCES.items()}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (None, None, range(60)),
        (0.0, 0.5, range(5)),
        (None, 0.45, range(5)),
        (2.4, 2.9, range(24, 29)),
        (2.35, 2.41, range(24, 25)),
        (3.55, 4.85, range(36, 49)),
        (4.8, 5.0, range(48, 50)),
        (5.3, None, range(53, 60)),
        (5.3, 6.4, range(53, 60)),  # a little behind the end
    ],
)
def test_the_frames_of_a_segment(
    videos: dict[str, Path], name: str, start_s: float | None, end_s: float | None, expected: range
) -> None:
    assert cut_out(videos[name], start_s, end_s) == list(expected)


@pytest.mark.parametrize("name", ["b_frames.mp4", "open_gop_hevc.mp4", "vp9.webm"])
def test_decoding_starts_near_the_segment(videos: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = cut.decoded_frames

    def counting(*arguments: Any, **named: Any) -> Iterator[Any]:
        for frame in real(*arguments, **named):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(cut, "decoded_frames", counting)
    assert cut_out(videos[name], 5.2, 5.4) == [52, 53]
    assert len(decoded) < 25


def test_times_of_a_variable_frame_rate_decide(tmp_path: Path) -> None:
    pts = [0, 1, 2, 10, 20, 30, 31, 32, 33, 50]
    path = write(tmp_path / "v.mp4", pts=pts, bf="0")
    assert cut_out(path, 1.0, 3.1) == [3, 4, 5]
    assert cut_out(path, 3.1, 5.0) == [6, 7, 8]


def test_a_stored_clip_is_the_segment(videos: dict[str, Path]) -> None:
    made = transcode(videos["open_gop.mp4"], 48, 12, 10, lambda c, s: frames_between(c, s, 3.2, 4.1))
    assert (made.frames, made.fps, made.duration_s) == (9, 10.0, 0.9)
    decoded = decode_frames(made.data, np.arange(9))
    assert [number_of(frame) for frame in decoded] == list(range(32, 41))


@given(st.lists(st.integers(1, 5999), min_size=1, max_size=6, unique=True), st.sampled_from([10, 24, 25, 30000 / 1001]))
def test_segments_that_follow_each_other_share_no_frame_and_lose_none(cuts_ms: list[int], fps: float) -> None:
    times = [i / fps for i in range(150)]
    edges = [None, *(ms / 1000 for ms in sorted(cuts_ms)), None]
    assert [t for a, b in pairwise(edges) for t in times if is_inside(t, a, b)] == times


def test_a_time_that_was_rounded_to_milliseconds_means_its_frame() -> None:
    for i in range(300):
        rounded = round(i / 30, 3)
        assert is_inside(i / 30, rounded, None)
        assert is_behind(i / 30, rounded)
        assert not is_inside((i - 1) / 30, rounded, None)


@pytest.mark.parametrize(
    ("start_s", "end_s", "says"),
    [
        (6.5, 7.0, "start_s 6.5 lies behind the video's end at 6.000 s"),
        (5.0, 8.0, "end_s 8 lies behind the video's end at 6.000 s"),
        (2.91, 2.95, "no frame lies between 2.91 s and 2.95 s"),
    ],
)
def test_segments_without_a_frame(videos: dict[str, Path], start_s: float, end_s: float, says: str) -> None:
    with pytest.raises(BadSample, match=says):
        cut_out(videos["plain.mp4"], start_s, end_s)


def test_damage_in_the_segment_is_refused_and_before_it_is_not(videos: dict[str, Path]) -> None:
    content = bytearray(videos["one_key_frame.mp4"].read_bytes())
    half = content[: len(content) * 2 // 3]
    with pytest.raises(BadSample):
        transcode(bytes(half), 48, 12, 20, lambda c, s: frames_between(c, s, 1.0, 5.9))
    plain = bytearray(videos["plain.mp4"].read_bytes())
    with open_video(io.BytesIO(plain)) as container:
        sizes = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    at = sizes[14] + 6  # a frame of the second group
    plain[at : at + 20] = bytes(20)
    made = transcode(bytes(plain), 48, 12, 20, lambda c, s: frames_between(c, s, 4.0, 4.5))
    assert made.frames == 5


HEADER = Probe(64, 48, 60, 10.0, 6.0, 1000)


def test_the_header_of_a_segment() -> None:
    assert probe_segment(HEADER, 1.0, 2.5) == Probe(64, 48, 15, 10.0, 1.5, 1000)
    assert probe_segment(HEADER, None, 2.5).frames == 25
    assert probe_segment(HEADER, 5.5, 6.9).duration_s == 0.5
    with pytest.raises(BadSample, match="start_s 6 lies behind"):
        probe_segment(HEADER, 6.0, None)
    with pytest.raises(BadSample, match=r"end_s 7.5 lies behind the video's end at 6.000 s"):
        probe_segment(HEADER, 1.0, 7.5)
    unknown = Probe(64, 48, 0, 10.0, 0.0, 1000)
    assert probe_segment(unknown, 1.0, 2.5).frames == 15
    with pytest.raises(BadSample, match="more than the 3,600 s allowed"):
        probe_segment(unknown, 0.0, 3700.0)
