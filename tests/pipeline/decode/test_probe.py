"""Headers: what is read, and every reason for which a file is not admitted."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.decode import limits
from pipeline.decode.limits import BadSample
from pipeline.decode.probe import Kind, Probe, probe
from pipeline.decode.transcode import encode


def clip(frames: int = 20) -> bytes:
    return encode(np.full((frames, 48, 64, 3), 90, np.uint8), fps=10)


def sound(container: str) -> bytes:
    """A file of the container with an audio stream only."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream("aac" if container == "mp4" else "pcm_s16le", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.int16), format="s16", layout="mono")
        frame.sample_rate = 44_100
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def huge_png(side: int) -> bytes:
    """The header of a PNG of `side` x `side` pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.webp", "a.bmp"])
def test_images(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.new("RGB", (40, 30)).save(path)
    assert probe(path, "image") == Probe(40, 30, 1, 0.0, 0.0, path.stat().st_size)


def test_an_image_on_its_side_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert (probe(tmp_path / "a.jpg", "image").width, probe(tmp_path / "a.jpg", "image").height) == (30, 40)


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mp4", "mp4", "libx264"),
        ("a.MOV", "mov", "mpeg4"),
        ("a.avi", "avi", "mpeg4"),
        ("a.mkv", "matroska", "libx264"),
        ("a.webm", "webm", "libvpx"),
        ("misnamed.avi", "mp4", "libx264"),
    ],
)
def test_videos(name: str, container: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with av.open(str(path), "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")))
        out.mux(stream.encode())
    found = probe(path, "video")
    assert (found.width, found.height, found.frames, found.fps) == (64, 48, 20, 10.0)
    assert found.duration_s == pytest.approx(2.0, abs=0.01)
    assert found.bytes == path.stat().st_size


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("name", "content", "kind", "reason"),
    [
        ("a.jpg", b"", "image", "empty"),
        ("a.mp4", b"", "video", "empty"),
        ("a.jpg", b"a text, not a picture", "image", "no image that can be read: JPEG, PNG, WebP, BMP"),
        ("a.mp4", b"a text, not a video", "video", "no MP4, MOV, AVI, MKV, WebM, FLV"),
        ("a.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret\n", "video", "no MP4, MOV, AVI, MKV, WebM, FLV"),
        ("a.avi", b"ffconcat version 1.0\nfile /etc/passwd\n", "video", "no MP4, MOV, AVI, MKV, WebM, FLV"),
        ("a.svg", b"<svg/>", "image", "extension '.svg' is not one of .avif, .bmp"),
        ("a.heic", b"\0\0\0\x18ftypheic", "image", "HEIC is not read; convert it: heif-convert a.heic a.jpg"),
        ("a.NEF", b"II*\0", "image", "develop it: dcraw -T a.nef"),
        ("a.txt", b"text", "video", "extension '.txt' is not one of .3gp, .asf, .avi"),
        ("a", b"text", "video", "extension '' is not one of"),
        ("a.png", huge_png(60_000), "image", "pixels"),
        ("a.png", huge_png(10_000), "image", "10000 x 10000 pixels are more than the 89,478,485 allowed"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "image", "its header is broken|no image"),
        ("a.mp4", b"\x00\x00\x00\x18ftypmp42" + bytes(99), "video", "cannot be opened"),
        ("a.mp4", sound("mp4"), "video", "no video stream"),
        ("a.avi", sound("avi"), "video", "no video stream"),
        ("a.mkv", b"\x1a\x45\xdf\xa3" + bytes(99), "video", "cannot be opened|no video stream"),
        ("a.mp4", clip()[:200], "video", "cannot be opened|no video stream"),
    ],
)
def test_reasons(name: str, content: bytes, kind: Kind, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadSample, match=reason) as error:
        probe(path, kind)
    assert "\n" not in error.value.reason
    assert len(error.value.reason) < 160


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    for name in ("gone.mp4", "folder.mp4"):
        with pytest.raises(BadSample, match="cannot be opened"):
            probe(tmp_path / name, "video")


@pytest.mark.parametrize(
    ("cap", "value", "reason"),
    [
        ("MAX_VIDEO_FRAMES", 19, "20 frames, more than the 19 allowed"),
        ("MAX_VIDEO_DURATION_S", 1.0, "lasts 2 s, more than the 1 s allowed"),
    ],
)
def test_length_caps(cap: str, value: float, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(clip())
    assert probe(tmp_path / "a.mp4", "video").frames == 20
    monkeypatch.setattr(limits, cap, value)
    with pytest.raises(BadSample, match=reason):
        probe(tmp_path / "a.mp4", "video")


@pytest.mark.parametrize(("cap", "is_read"), [(5.0, True), (2.0, False)])
def test_a_videos_own_frames_tell_how_long_it_is(cap: float, is_read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subtitle stays for 20 s; the video ends after 2.4 s."""
    monkeypatch.setattr(limits, "MAX_VIDEO_DURATION_S", cap)
    path = Path(__file__).parents[2] / "cases" / "mkv_subtitle_longer.mkv"
    if is_read:
        assert probe(path, "video").fps == 25
        return
    with pytest.raises(BadSample, match="lasts 20 s, more than the 2 s allowed"):
        probe(path, "video")


def test_size_caps() -> None:
    limits.check_bytes(5, 5)
    limits.check_pixels(2, 3, 6)
    with pytest.raises(BadSample, match="6 bytes, more than the 5 allowed"):
        limits.check_bytes(6, 5)
    with pytest.raises(BadSample, match="2 x 3 pixels are more than the 5 allowed"):
        limits.check_pixels(2, 3, 5)


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clip())
    path.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(BadSample, match="no permission to read the file"):
            probe(path, "video")
        return
    # root reads everything, so another user tries it; the imports come first, as it may not read those either
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from pipeline.decode.probe import probe\nfrom pipeline.decode.limits import BadSample\n"
        "folder = os.open(sys.argv[1], os.O_RDONLY)\nos.fchdir(folder)\nos.setgid(65534)\nos.setuid(65534)\n"
        "try:\n    probe(Path('a.mp4'), 'video')\nexcept BadSample as error:\n    print(error.reason)\n"
    )
    tmp_path.chmod(0o755)
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "no permission to read the file"
