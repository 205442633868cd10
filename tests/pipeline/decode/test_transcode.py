"""A stored clip's frame i is the source's frame i, whatever the source; broken sources are refused."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.decode.foreign import check_video, probe_foreign
from pipeline.decode.limits import BadSample
from pipeline.decode.transcode import encode, fitted, transcode
from pipeline.decode.video import count_frames, decode_frames
from tests.videos import FRAMES, PARTS, SOURCES, number_of, numbered, sequential, video


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
    data = bytearray(video("avi", "mjpeg"))
    data[len(data) // 2 :: 50] = bytes(len(data[len(data) // 2 :: 50]))
    with pytest.raises(BadSample, match=r"(broken|damaged) after 2\d frames"):
        transcode(bytes(data), 48, 12, 20)
    assert list(tmp_path.iterdir()) == []


def test_encode() -> None:
    frames = np.stack([numbered(i, 48, 64) for i in range(20)])
    data = encode(frames, fps=12.5, gop=6, crf=15)
    assert data == encode(frames, fps=12.5, gop=6, crf=15)
    assert [number_of(frame) for frame in decode_frames(data, np.arange(20))] == list(range(20))
    assert check_video(data).fps == 12.5
    with pytest.raises(ValueError, match="even sizes, not 63 x 48"):
        encode(frames[:, :, :63], fps=10)
