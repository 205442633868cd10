"""Pictures and videos: what can be read and written, tried on ones that are made here."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.found import Found, Looked
from pipeline.doctor.packages import INSTALL

FRAMES, SIDE = 12, 64


def images(looked: Looked) -> Iterator[Found]:
    """The formats that Pillow reads."""
    from PIL import features

    wanted = {"JPEG": "jpg", "PNG": "zlib", "WebP": "webp", "AVIF": "avif", "TIFF": "libtiff"}
    lacking = [name for name, feature in wanted.items() if not features.check(feature)]
    if lacking:
        yield Found("note", f"Pillow reads no {', '.join(lacking)}", "pip install --force-reinstall pillow")
    else:
        yield Found("right", f"Pillow reads {', '.join(wanted)}")


def encoding(looked: Looked) -> Iterator[Found]:
    """Encode a video as the shard stage does."""
    try:
        size = len(_video())
    except Exception as error:  # of an FFmpeg without the codec, or of a broken package
        yield Found("wrong", f"PyAV encodes no H.264 ({_line(error)})", "pip install --force-reinstall av")
    else:
        yield Found("right", f"PyAV encodes H.264: {FRAMES} frames in {size:,} bytes")


def decoding(looked: Looked) -> Iterator[Found]:
    """Decode a video as the feed does."""
    try:
        import decord
    except Exception as error:  # a broken library raises OSError, RuntimeError, ...
        yield Found("wrong", f"decord cannot be imported ({_line(error)})", INSTALL)
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "try.mp4"
            path.write_bytes(_video())
            frames = decord.VideoReader(str(path), num_threads=1)
            count, shape = len(frames), frames[FRAMES - 1].shape
    except Exception as error:
        yield Found("wrong", f"decord decodes no H.264 ({_line(error)})", INSTALL)
        return
    right = (count, shape) == (FRAMES, (SIDE, SIDE, 3))
    yield Found(
        "right" if right else "wrong",
        f"decord {getattr(decord, '__version__', '')} decodes H.264"
        + ("" if right else f" wrongly: {count} frames of {shape}"),
        "" if right else INSTALL,
    )


def _video() -> bytes:
    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), 20 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
