"""Every frame of a good file is read, whatever its header says; what FFmpeg would make up is refused."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.decode.limits import BadSample
from pipeline.decode.probe import probe_file
from pipeline.decode.transcode import transcode
from tests.videos import FRAMES, number_of, sequential, video

CASES = Path(__file__).parents[2] / "cases"
ALL = [*range(FRAMES)]
WITHOUT_REPEATS = [i for i in ALL if i not in (10, 30, 31, 32)]
READ = {
    "avi_with_mp3.avi": ALL,
    "avi_null_frames.avi": WITHOUT_REPEATS,  # empty chunks repeat the frame before; PyAV gives none
    "mkv_audio_longer.mkv": ALL,
    "mkv_subtitle_longer.mkv": ALL,
    "h264_cut_at_recovery_point.mp4": [*range(63, 120)],
    "rotated.mkv": ALL,
    "h263.avi": ALL,
    "h264_bframes.avi": ALL,
    "av1.mp4": ALL,
    "clip.m4v": ALL,
}


@pytest.mark.parametrize("name", READ)
def test_the_frames_of_a_good_file(name: str) -> None:
    data = (CASES / name).read_bytes()
    probe_file(io.BytesIO(data), "video")
    stored = transcode(data, short_side=144, gop=12, crf=18)
    turned = name == "rotated.mkv"
    frames = [np.rot90(frame, -1 if turned else 0) for frame in sequential(stored.data)]
    assert [number_of(frame) for frame in frames] == READ[name]
    assert (stored.width, stored.height) == ((144, 192) if turned else (176 if name == "h263.avi" else 192, 144))


def piped(container: str, codec: str) -> bytes:
    """A video as ffmpeg writes it into a pipe: nothing is filled in afterwards."""
    data = bytearray()

    class Pipe:
        def write(self, part: bytes) -> int:
            data.extend(part)
            return len(part)

    with (
        av.open(io.BytesIO(video("avi", codec)), "r") as source,
        av.open(Pipe(), "w", format=container) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return bytes(data)


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_an_avi_from_a_pipe_is_read(codec: str) -> None:
    data = piped("avi", codec)
    with av.open(io.BytesIO(data), "r") as container:
        assert container.streams.video[0].frames == 2**30, "the file is not what the test wants"
    found = probe_file(io.BytesIO(data), "video")
    assert (found.frames, found.duration_s, found.fps) == (0, 0.0, 25.0), "not known, and not 2^30"
    stored = transcode(data, short_side=72, gop=12, crf=18)
    assert [number_of(frame) for frame in sequential(stored.data)] == ALL
    with pytest.raises(BadSample, match=r"the video is cut off: [\d,]+ of at least [\d,]+ bytes are there"):
        transcode(data[:-30], short_side=72, gop=12, crf=18)


def without_a_slice(data: bytes, number: int) -> bytes:
    """The H.264 MP4 without the last NAL unit of one packet, as a lost network packet leaves it."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as source, av.open(file, "w", format="mp4") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for i, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            content, at, last = bytes(packet), 0, 0
            while at < len(content):
                last, at = at, at + 4 + int.from_bytes(content[at : at + 4], "big")
            made = av.Packet(content[:last] if i == number else content)
            made.pts, made.dts, made.time_base, made.stream = packet.pts, packet.dts, packet.time_base, stream
            made.is_keyframe = packet.is_keyframe
            out.mux(made)
    return file.getvalue()


def test_a_picture_whose_missing_part_ffmpeg_makes_up_is_refused() -> None:
    data = video(options={"bf": "0", "x264-params": "slices=3"})
    assert transcode(without_a_slice(data, -1), 72, 12, 20).frames == FRAMES
    with pytest.raises(BadSample, match=r"the video is damaged after 3\d frames: concealing"):
        transcode(without_a_slice(data, 30), 72, 12, 20)
    gif = bytearray(video("gif", "gif"))
    gif[len(gif) // 2 : len(gif) // 2 + 3] = b"\xff\xff\xff"
    with pytest.raises(BadSample, match=r"damaged after \d+ frames: LZW decode failed"):
        transcode(bytes(gif), 72, 12, 20)


def test_damage_within_the_first_group_of_a_file_cut_at_a_recovery_point_is_refused() -> None:
    """FFmpeg is not strict there, and its messages are watched instead."""
    data = bytearray((CASES / "h264_cut_at_recovery_point.mp4").read_bytes())
    with av.open(io.BytesIO(data), "r") as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for pos, size in places[:20:4]:
        broken = data.copy()
        assert pos is not None
        broken[pos + size // 3 : pos + size] = np.random.Generator(np.random.Philox(pos)).bytes(size - size // 3)
        with pytest.raises(BadSample, match=r"damaged after|broken after"):
            transcode(bytes(broken), 72, 12, 20)
