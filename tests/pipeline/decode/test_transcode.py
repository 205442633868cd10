"""A stored clip's frame i is the source's frame i, whatever the source; broken sources are refused."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.frame import VideoFrame

from pipeline.decode.foreign import probe_foreign
from pipeline.decode.limits import BadSample
from pipeline.decode.transcode import check_video, encode, fitted, transcode
from pipeline.decode.video import count_frames, decode_frames

UInt8Array = npt.NDArray[np.uint8]
FRAMES = 60
OPEN_GOP = {"bf": "3", "g": "10", "x264-params": "open-gop=1:scenecut=0"}
OPEN_GOP_HEVC = {"x265-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0:log-level=none"}


def numbered(number: int, height: int = 72, width: int = 96) -> UInt8Array:
    """A grey frame whose eight vertical bars are the number's bits, bright for 1, in the upper half."""
    frame = np.full((height, width, 3), 100, np.uint8)
    for bit in range(8):
        frame[: height // 2, bit * width // 8 : (bit + 1) * width // 8] = 230 if number >> bit & 1 else 30
    return frame


def number_of(frame: UInt8Array) -> int:
    """The number that a decoded frame carries."""
    height, width = frame.shape[:2]
    bars = [
        frame[height // 8 : height * 3 // 8, int((b + 0.3) * width / 8) : int((b + 0.7) * width / 8)] for b in range(8)
    ]
    return sum(int(bar.mean() > 128) << bit for bit, bar in enumerate(bars))


def video(
    container: str = "mp4",
    codec: str = "libx264",
    size: tuple[int, int] = (72, 96),
    options: dict[str, str] | None = None,
    pts_ms: list[int] | None = None,
    rotation: int = 0,
    movflags: str = "",
) -> bytes:
    """A video of FRAMES numbered frames of `size` (height, width) at 25 a second, or at the times `pts_ms`."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, container_options={"movflags": movflags} if movflags else {}) as out:
        stream: Any = out.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = {"mjpeg": "yuvj420p", "ffv1": "yuv444p"}.get(codec, "yuv420p")
        stream.codec_context.time_base = Fraction(1, 1000) if pts_ms else Fraction(1, 25)
        if rotation:
            stream.set_display_rotation(rotation)
        for i in range(FRAMES):
            frame = VideoFrame.from_ndarray(numbered(i, *size), format="rgb24")
            frame.pts, frame.time_base = pts_ms[i] if pts_ms else i, stream.codec_context.time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def sequential(data: bytes) -> list[UInt8Array]:
    """All frames by PyAV, in order, RGB."""
    with av.open(io.BytesIO(data), "r") as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


UNEVEN_MS = np.cumsum(np.random.Generator(np.random.Philox(1)).integers(10, 90, FRAMES)).tolist()
SOURCES: dict[str, dict[str, Any]] = {
    "b-frames": {"options": {"bf": "3", "g": "20"}},
    "open gop": {"options": OPEN_GOP},
    "open gop hevc": {"codec": "libx265", "options": OPEN_GOP_HEVC},
    "variable rate": {"pts_ms": UNEVEN_MS, "options": {"bf": "2"}},
    "variable rate mkv": {"container": "matroska", "pts_ms": UNEVEN_MS},
    "fragmented": {"movflags": "frag_keyframe+empty_moov", "options": {"g": "10"}},
    "mov": {"container": "mov", "codec": "mpeg4"},
    "avi": {"container": "avi", "codec": "mpeg4"},
    "avi mjpeg": {"container": "avi", "codec": "mjpeg"},
    "webm vp8": {"container": "webm", "codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "webm vp9": {"container": "webm", "codec": "libvpx-vp9", "options": {"deadline": "realtime"}},
    "odd size": {"container": "matroska", "codec": "ffv1", "size": (73, 97)},
}


@pytest.mark.parametrize("source", SOURCES)
def test_frame_i_is_the_sources_frame_i(source: str) -> None:
    data = video(**SOURCES[source])
    stored = transcode(data, short_side=48, gop=12, crf=20)
    assert (stored.width, stored.height, stored.frames) == (64, 48, FRAMES)
    assert stored.duration_s == pytest.approx(FRAMES / stored.fps)
    by_pyav = sequential(stored.data)
    # out of order and with a repeat: seeking must not matter
    order = np.random.Generator(np.random.Philox(0)).permutation(FRAMES)
    by_decord = dict(zip(order.tolist(), decode_frames(stored.data, order), strict=True))
    assert [number_of(frame) for frame in by_pyav] == list(range(FRAMES))
    for i in range(FRAMES):
        assert np.abs(by_decord[i].astype(int) - by_pyav[i]).max() <= 2
    assert count_frames(stored.data) == FRAMES
    assert check_video(stored.data) == stored


def remuxed(
    data: bytes, container: str = "mp4", shift_s: float = 0.0, without: Callable[[int], bool] = lambda i: False
) -> bytes:
    """The same packets in another file: all times later by `shift_s`, some packets left out."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as source, av.open(file, "w", format=container) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for i, packet in enumerate(source.demux(video=0)):
            if packet.size and not without(i):
                assert packet.pts is not None
                assert packet.dts is not None
                shift = round(Fraction(shift_s) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                out.mux(packet)
    return file.getvalue()


B_FRAMES = {"bf": "3", "g": "20"}
CLOSED_HEVC = {"x265-params": "open-gop=0:keyint=10:min-keyint=10:log-level=none"}
ALL = [*range(FRAMES)]
PARTS: dict[str, tuple[Callable[[], bytes], list[int]]] = {
    # name: (source, the frames that it shows, in order)
    "starts late": (lambda: remuxed(video(options=B_FRAMES), shift_s=3), ALL),
    "edit list": (lambda: remuxed(video(options=B_FRAMES), shift_s=-0.2), ALL[5:]),
    "edit list into the second GOP": (lambda: remuxed(video(options=B_FRAMES), shift_s=-1), ALL[25:]),
    "last frames missing": (
        lambda: remuxed(video(options=B_FRAMES), without=lambda i: i >= FRAMES - 3),
        [*ALL[:56], 57],  # packets are in the order of decoding
    ),
    "last frames missing, mkv": (
        lambda: remuxed(video(options=B_FRAMES), "matroska", without=lambda i: i >= FRAMES - 3),
        [*ALL[:56], 57],
    ),
    "a B-frame missing": (lambda: remuxed(video(options=B_FRAMES), without=lambda i: i == 30), [*ALL[:28], *ALL[29:]]),
    "begins without a key frame": (lambda: remuxed(video(options=B_FRAMES), without=lambda i: i < 6), ALL[24:]),
    "begins in an open GOP": (lambda: remuxed(video(options=OPEN_GOP), without=lambda i: i < 10), ALL[10:]),
    "closed hevc": (lambda: video(codec="libx265", options=CLOSED_HEVC), ALL),
    "av1": (lambda: video(codec="libsvtav1", options={"preset": "8", "svtav1-params": "lp=1"}), ALL),
    "interlaced": (lambda: video(options={"flags": "+ildct+ilme", "x264-params": "tff=1:bframes=2"}), ALL),
    "a long pause": (lambda: video(pts_ms=[40 * i + 5000 * (i > 30) for i in ALL], options={"bf": "2"}), ALL),
    "pairs a millisecond apart": (lambda: video(pts_ms=[80 * (i // 2) + i % 2 for i in ALL], options={"bf": "2"}), ALL),
}


@pytest.mark.parametrize("name", PARTS)
def test_frame_i_is_that_of_pyavs_sequential_decode(name: str) -> None:
    make, expected = PARTS[name]
    data = make()
    source = sequential(data)
    assert [number_of(frame) for frame in source] == expected, "the file is not what the test wants"
    stored = transcode(data, short_side=72, gop=12, crf=16)
    assert stored.frames == len(expected)
    frames = decode_frames(stored.data, np.arange(stored.frames))
    assert [number_of(frame) for frame in frames] == expected
    for ours, theirs in zip(frames, source, strict=True):
        assert 10 * np.log10(255**2 / max(1e-9, np.square(ours - theirs.astype(float)).mean())) > 30  # PSNR, dB


REFUSED_AS_THEY_ARE = {
    "edit list": "decord counts other frames",
    "edit list into the second GOP": "decord counts other frames",
    "begins without a key frame": "does not start with a key frame",
    "begins in an open GOP": "open GOPs",
    "open gop": "open GOPs",
    "open gop hevc": "open GOPs",
    "fragmented": "fragmented",
    "av1": "cannot be opened",  # decord knows no AV1
}


@pytest.mark.parametrize("name", [*PARTS, *SOURCES])
def test_a_video_that_is_read_as_it_is_gives_these_frames_or_is_refused(name: str) -> None:
    """Adopted, or stored without transcoding: what is let pass, decord must read as PyAV does."""
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


def test_an_open_gop_of_hevc_without_its_beginning_is_refused() -> None:
    data = remuxed(video(codec="libx265", options=OPEN_GOP_HEVC), without=lambda i: i < 10)
    with pytest.raises(BadSample, match="is broken after 0 frames"):
        transcode(data, 48, 12, 20)


def test_the_picture_is_the_sources() -> None:
    red_green = np.zeros((20, 64, 96, 3), np.uint8)
    red_green[:, :, :48, 0], red_green[:, :, 48:, 1] = 200, 180
    stored = transcode(encode(red_green, 30, crf=10), short_side=32, gop=12, crf=18)
    frames = decode_frames(stored.data, np.array([0, 19, 19, 3]))
    assert frames.shape == (4, 32, 48, 3)
    assert frames.dtype == np.uint8
    assert np.abs(frames[:, :, :20].astype(int) - (200, 0, 0)).max() < 12
    assert np.abs(frames[:, :, 28:].astype(int) - (0, 180, 0)).max() < 12
    assert stored.fps == 30


def test_equal_sources_give_equal_bytes(tmp_path: Path) -> None:
    data = video(options={"bf": "3"})
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    first = transcode(data, short_side=48, gop=12, crf=23)
    assert transcode(path, short_side=48, gop=12, crf=23).data == first.data
    assert transcode(data, short_side=48, gop=12, crf=30).data != first.data


def test_the_stored_form() -> None:
    stored = transcode(video(options={"g": "250", "bf": "3"}), short_side=72, gop=12, crf=20)
    assert stored.data.index(b"moov") < stored.data.index(b"mdat"), "faststart"
    with av.open(io.BytesIO(stored.data), "r") as container:
        assert [stream.type for stream in container.streams] == ["video"]
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        packets = [packet for packet in container.demux(stream) if packet.size]
    keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[0] == 0
    assert max(np.diff([*keys, FRAMES])) <= 12
    assert [packet.pts for packet in packets] == sorted(packet.pts or 0 for packet in packets), "no B-frames"


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_rotation_is_applied(rotation: int, turns: int) -> None:
    stored = transcode(video(rotation=rotation), short_side=48, gop=12, crf=18)
    assert (stored.width, stored.height) == ((48, 64) if turns % 2 else (64, 48))
    frames = decode_frames(stored.data, np.arange(FRAMES))
    assert [number_of(np.rot90(frame, -turns)) for frame in frames] == list(range(FRAMES))


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((340, 256), 256, (340, 256)),
        ((1280, 720), 256, (456, 256)),
        ((720, 1280), 256, (256, 456)),
        ((97, 73), 256, (96, 72)),  # never enlarged, made even
        ((65, 65), 64, (64, 64)),
        ((3, 2), 64, (2, 2)),
    ],
)
def test_fitted(size: tuple[int, int], short_side: int, expected: tuple[int, int]) -> None:
    assert fitted(*size, short_side) == expected


def test_one_pixel_is_no_video() -> None:
    with pytest.raises(BadSample, match="too few"):
        fitted(100, 1, 64)


@pytest.mark.parametrize(
    ("container", "codec", "movflags"),
    [
        ("mp4", "libx264", ""),
        ("mp4", "libx264", "faststart"),  # the index first, so that a cut file still opens
        ("mov", "mpeg4", ""),
        ("mov", "mpeg4", "faststart"),
        ("avi", "mjpeg", ""),
        ("matroska", "libx264", ""),
        ("webm", "libvpx", ""),
    ],
)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9])
def test_truncated_videos_are_refused(container: str, codec: str, movflags: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / "whole"
    with (
        av.open(io.BytesIO(video(container, codec)), "r") as source,
        av.open(  # written again to a file for faststart
            str(path), "w", format=container, container_options={"movflags": movflags} if movflags else {}
        ) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    data = path.read_bytes()
    assert transcode(data, 48, 12, 20).frames == FRAMES
    cut = data[: int(len(data) * share)]
    for read in (lambda: transcode(cut, 48, 12, 20), lambda: check_video(cut), lambda: probe_foreign(cut, "video")):
        with pytest.raises(BadSample):
            read()


def test_damaged_videos_are_refused() -> None:
    data = bytearray(video(options={"g": "10"}))
    for position in range(len(data) // 4, len(data) * 3 // 4, 97):
        data[position] ^= 0xFF
    with pytest.raises(BadSample):
        transcode(bytes(data), 48, 12, 20)


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = video("avi", "mjpeg")
    with pytest.raises(BadSample, match="cut off or damaged after"):
        transcode(data[: len(data) // 2], 48, 12, 20)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"options": OPEN_GOP}, "open GOPs; store it with shard.video.transcode on"),
        ({"codec": "libx265", "options": OPEN_GOP_HEVC}, "open GOPs"),
    ],
)
def test_what_decord_reads_wrongly_must_be_transcoded(source: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadSample, match=reason):
        check_video(video(**source))


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


def test_encode() -> None:
    frames = np.stack([numbered(i, 48, 64) for i in range(20)])
    data = encode(frames, fps=12.5, gop=6, crf=15)
    assert data == encode(frames, fps=12.5, gop=6, crf=15)
    assert [number_of(frame) for frame in decode_frames(data, np.arange(20))] == list(range(20))
    assert check_video(data).fps == 12.5
    with pytest.raises(ValueError, match="even sizes, not 63 x 48"):
        encode(frames[:, :, :63], fps=10)
