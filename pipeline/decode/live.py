"""Frames as they come: from a file, a camera or a network stream, one after the other, without end where there is none.

A file is read to its end, frame by frame. A camera does not wait: `newest` keeps the last frame alone, and counts those
that nobody took in time.
"""

import platform
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.decode.container import frame_rate, open_video, video_stream
from pipeline.decode.limits import MAX_VIDEO_PIXELS, BadSample, check_pixels
from pipeline.decode.probe import open_file
from pipeline.decode.transcode import fitted
from pipeline.decode.upright import display_matrix, upright

CAMERAS = {"Linux": ("v4l2", "/dev/video{}"), "Darwin": ("avfoundation", "{}"), "Windows": ("dshow", "video={}")}
"""FFmpeg's device and its name for a camera's number."""
NETWORK = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "srt")
"""Schemes that are opened; all others, such as `concat:` and `file:`, are none of a stream."""
PROTOCOLS = "http,https,tcp,tls,udp,rtp,rtsp,rtsps,rtmp,srt,crypto,hls"
"""What FFmpeg may open for them, so that a playlist cannot name files of this machine."""
PATIENCE_S = 10.0
"""Without a frame, before a network stream is given up."""


@dataclass(frozen=True)
class Source:
    """What frames come from. `rate`: frames a second, as its header says."""

    container: av.container.InputContainer
    rate: Fraction
    live: bool

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Yield (seconds, frame) to the end; ZoetropeError when it breaks off by an error."""
        stream = video_stream(self.container)
        number, begun = 0, None
        try:
            for frame in self.container.decode(stream):
                check_pixels(frame.width, frame.height, MAX_VIDEO_PIXELS)
                time_s = float(number / self.rate) if frame.time is None else frame.time
                begun = time_s if begun is None else begun
                yield time_s - begun, frame
                number += 1
        except av.error.FFmpegError as error:
            raise ZoetropeError(f"the stream broke off behind frame {number:,}: {error.strerror}") from error


def open_source(named: str) -> Source:
    """Open a file by its path, a camera by its number, or a network stream by its URL.

    ZoetropeError when there is none.
    """
    try:
        if named.isdigit():
            device, pattern = CAMERAS.get(platform.system(), CAMERAS["Linux"])
            container = av.open(pattern.format(named), "r", format=device)
            live = True
        elif scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", named):
            if scheme[1].lower() not in NETWORK:
                raise ZoetropeError(f"{redact(named)}: a stream begins with one of {', '.join(NETWORK)}")
            options = {"protocol_whitelist": PROTOCOLS, "rw_timeout": str(int(PATIENCE_S * 1e6))}
            if scheme[1].lower().startswith("rtsp"):
                options |= {"rtsp_transport": "tcp", "timeout": str(int(PATIENCE_S * 1e6))}
            container = av.open(named, "r", options=options, timeout=PATIENCE_S)
            live = True
        else:
            container, live = open_video(open_file(Path(named))), False
        return Source(container, frame_rate(video_stream(container)), live)
    except BadSample as error:
        raise ZoetropeError(f"{redact(named)}: {error}") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        kind = f"camera {named}" if named.isdigit() else redact(named)
        said = getattr(error, "strerror", None) or str(error)
        raise ZoetropeError(
            f"{kind} cannot be opened: {said}. Write the path of a video, the number of a camera, or a URL such as "
            "rtsp://host/path"
        ) from error


@dataclass
class Scaler:
    """Frames as they are stored for training: upright, the short side at most `short_side` px, RGB."""

    short_side: int
    reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    def __call__(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3]."""
        width, height = fitted(frame.width, frame.height, self.short_side)
        scaled = self.reformatter.reformat(
            frame, width, height, "yuv420p", interpolation=Interpolation.BICUBIC, threads=1
        )
        return np.ascontiguousarray(upright(scaled, display_matrix(frame)))


def due(frames: Iterator[tuple[float, VideoFrame]], every: Fraction) -> Iterator[tuple[float, VideoFrame]]:
    """Yield the first frame, and then each first one that is `every` seconds or more behind the one that was due."""
    turn = Fraction(0)
    for time_s, frame in frames:
        # Half a millisecond: times are rounded to a container's clock.
        if time_s + 5e-4 >= turn:
            yield time_s, frame
            turn += every * (1 + int((Fraction(time_s + 5e-4) - turn) / every))


class Newest:
    """The newest of what another thread reads; what comes before it is taken is `dropped`, and counted."""

    def __init__(self, frames: Iterator[tuple[float, VideoFrame]]) -> None:
        self.dropped = 0
        self._frames = frames
        self._there = threading.Condition()
        self._frame: tuple[float, VideoFrame] | None = None
        self._error: Exception | None = None
        self._over = self._closed = False
        threading.Thread(target=self._read, name="frames", daemon=True).start()

    def __iter__(self) -> Iterator[tuple[float, VideoFrame]]:
        """Yield until the source ends; its error is raised here."""
        while True:
            with self._there:
                self._there.wait_for(lambda: self._frame is not None or self._over)
                frame, self._frame = self._frame, None
            if frame is None:
                if self._error:
                    raise self._error
                return
            yield frame

    def close(self) -> None:
        """Let the thread end behind its next frame."""
        self._closed = True

    def _read(self) -> None:
        try:
            with closing(self._frames) as frames:  # type: ignore[type-var]  # a generator
                for frame in frames:
                    if self._closed:
                        return
                    with self._there:
                        self.dropped += self._frame is not None
                        self._frame = frame
                        self._there.notify()
        except Exception as error:
            self._error = error
        finally:
            with self._there:
                self._over = True
                self._there.notify()
