"""A file that was cut is refused wherever the cut lies; one that is whole is not, whatever its header promises."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.decode.container import demuxer_of, open_video
from pipeline.decode.limits import BadSample
from pipeline.decode.whole import check_whole
from tests.videos import avi_of_a_pipe, video

QUICK = {"deadline": "realtime", "cpu-used": "8"}
KINDS: dict[str, Callable[[], bytes]] = {
    "avi": lambda: video("avi", "mpeg4"),
    "avi of a pipe": avi_of_a_pipe,
    "matroska": lambda: video("matroska", "libx264"),
    "webm": lambda: video("webm", "libvpx", options=QUICK),
    "live matroska": lambda: video("matroska", "libx264", container_options={"live": "1", "cluster_time_limit": "300"}),
    "fragmented mp4": lambda: video(movflags="frag_keyframe+empty_moov", options={"g": "10"}),
    "flv": lambda: video("flv", "flv"),
    "asf": lambda: video("asf", "wmv2"),
    "ogg": lambda: video("ogg", "libvpx", options=QUICK),
    "gif": lambda: video("gif", "gif"),
    "mpegts": lambda: video("mpegts", "mpeg2video"),
}
MAY_END_BEHIND_ANY_PART = {"avi of a pipe", "flv", "mpegts", "fragmented mp4", "live matroska"}


@pytest.mark.parametrize("kind", KINDS)
def test_cut_files(kind: str) -> None:
    data = KINDS[kind]()
    demuxer = {"webm": "matroska", "avi of a pipe": "avi", "live matroska": "matroska", "fragmented mp4": "mov"}.get(
        kind, kind
    )
    file = io.BytesIO(data)
    file.seek(7)
    check_whole(file, demuxer)
    assert file.tell() == 7
    passed, said = 0, set[str]()
    ends = np.random.Generator(np.random.Philox(0)).integers(len(data) // 3, len(data) * 19 // 20, 60)
    for end in ends.tolist():
        try:
            check_whole(io.BytesIO(data[:end]), demuxer)
            passed += 1
        except BadSample as error:
            said.add(error.reason[:20])
    assert said == {"the video is cut off"}
    assert passed <= (10 if kind in MAY_END_BEHIND_ANY_PART else 0)


@pytest.mark.parametrize("kind", ["avi", "matroska", "fragmented mp4", "gif", "asf"])
def test_what_follows_the_end_is_no_part_of_it(kind: str) -> None:
    data = KINDS[kind]() + b"\xff" * 1001
    file = io.BytesIO(data)
    with open_video(file) as container:
        check_whole(file, demuxer_of(container))


def test_an_avi_whose_riff_size_alone_is_wrong() -> None:
    data = bytearray(KINDS["avi"]())
    for wrong in (0, 0xFFFFFFFF, len(data), len(data) + 100):
        data[4:8] = struct.pack("<I", wrong)
        check_whole(io.BytesIO(data), "avi")


@pytest.mark.parametrize(
    ("kind", "says"), [("matroska", "no Matroska element"), ("ogg", "no Ogg page"), ("gif", "damaged|cut off")]
)
def test_a_structure_that_is_lost(kind: str, says: str) -> None:
    data = bytearray(KINDS[kind]())
    data[len(data) // 2 :] = b"\x07" * (len(data) - len(data) // 2)
    with pytest.raises(BadSample, match=says):
        check_whole(io.BytesIO(data), kind)


@pytest.mark.parametrize(
    ("demuxer", "head"),
    [
        ("mov", struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1)),
        ("asf", bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 8),
        ("matroska", bytes.fromhex("1a45dfa380 18538067 01fffffffffffffe")),
    ],
)
def test_lengths_beyond_every_file(demuxer: str, head: bytes) -> None:
    with pytest.raises(BadSample, match="cut off"):
        check_whole(io.BytesIO(head + bytes(64)), demuxer)
