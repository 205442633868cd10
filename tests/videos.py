"""Videos of numbered frames, made by PyAV, and what number a decoded frame carries."""

import io
import os
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

UInt8Array = npt.NDArray[np.uint8]
FRAMES = 60


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
    mirrored: bool = False,
    pixel_format: str = "",
    container_options: dict[str, str] | None = None,
) -> bytes:
    """A video of FRAMES numbered frames of `size` (height, width) at 25 a second, or at the times `pts_ms`."""
    scheduled = os.sched_getscheduler(0), os.sched_getparam(0)
    file = io.BytesIO()
    muxer = (container_options or {}) | ({"movflags": movflags} if movflags else {})
    try:
        with av.open(file, "w", format=container, container_options=muxer) as out:
            stream: Any = out.add_stream(codec, rate=25, options=options or {})
            stream.height, stream.width = size
            stream.pix_fmt = pixel_format or {"mjpeg": "yuvj420p", "ffv1": "yuv444p", "gif": "rgb8"}.get(
                codec, "yuv420p"
            )
            if codec.startswith("libvpx"):
                stream.codec_context.thread_count = 1  # its threads wait for each other by spinning: minutes, when busy
            stream.codec_context.time_base = Fraction(1, 1000) if pts_ms else Fraction(1, 25)
            if rotation:
                stream.set_display_rotation(rotation)
            for i in range(FRAMES):
                frame = VideoFrame.from_ndarray(numbered(i, *size), format="rgb24")
                frame.pts, frame.time_base = pts_ms[i] if pts_ms else i, stream.codec_context.time_base
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    finally:  # run by root, SVT-AV1 gives real-time priority to this thread and so to all that it starts
        os.sched_setscheduler(0, *scheduled)
    return _mirrored(file.getvalue()) if mirrored else file.getvalue()


def _mirrored(data: bytes) -> bytes:
    """An MP4 whose track header flips its frames from left to right before it turns them: a and b are negated."""
    matrix = data.index(b"tkhd") + 44  # behind the fields of version 0
    a, b = struct.unpack_from(">i", data, matrix)[0], struct.unpack_from(">i", data, matrix + 4)[0]
    return data[:matrix] + struct.pack(">ii", -a, -b) + data[matrix + 8 :]


def avi_of_a_pipe() -> bytes:
    """An AVI whose writer could not go back to fill in the lengths of the file and of its list of frames."""
    head, movi, frames = video("avi", "mpeg4").partition(b"movi")
    frames = frames[: frames.rindex(b"idx1")]
    return head[:4] + b"\xff" * 4 + head[8:-4] + b"\xff" * 4 + movi + frames


def sequential(data: bytes) -> list[UInt8Array]:
    """All frames by PyAV, in order, RGB."""
    with av.open(io.BytesIO(data), "r") as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


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


OPEN_GOP = {"bf": "3", "g": "10", "x264-params": "open-gop=1:scenecut=0"}
OPEN_GOP_HEVC = {"x265-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0:log-level=none"}


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


B_FRAMES = {"bf": "3", "g": "20"}
CLOSED_HEVC = {"x265-params": "open-gop=0:keyint=10:min-keyint=10:log-level=none"}
ALL = [*range(FRAMES)]
PARTS: dict[str, tuple[Callable[[], bytes], list[int]]] = {
    # name: (source, the frames that PyAV gives, in order)
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
    "begins at a recovery point": (lambda: remuxed(video(options=OPEN_GOP), without=lambda i: i < 18), ALL[20:]),
    "hevc, begins within an open GOP": (
        lambda: remuxed(video(codec="libx265", options=OPEN_GOP_HEVC), without=lambda i: i < 10),
        ALL[20:],
    ),
    "closed hevc": (lambda: video(codec="libx265", options=CLOSED_HEVC), ALL),
    "av1": (lambda: video(codec="libsvtav1", options={"preset": "8", "svtav1-params": "lp=1"}), ALL),
    "interlaced": (lambda: video(options={"flags": "+ildct+ilme", "x264-params": "tff=1:bframes=2"}), ALL),
    "a long pause": (lambda: video(pts_ms=[40 * i + 5000 * (i > 30) for i in ALL], options={"bf": "2"}), ALL),
    "pairs a millisecond apart": (lambda: video(pts_ms=[80 * (i // 2) + i % 2 for i in ALL], options={"bf": "2"}), ALL),
}
