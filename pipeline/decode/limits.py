"""What a source file may be at most, and the error for one that is not admitted."""

from pipeline.base.errors import ZoetropeError

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm"}
)
ARRAY_EXTENSIONS = frozenset({".npy", ".tif", ".tiff", ".png"})
"""Of pictures with other channels than 1, 3 and 4, or 16 bits."""
VIDEO_EXTENSIONS = frozenset(
    # MP4 and its kin; Matroska; AVI; Flash; Windows Media; Ogg; MPEG program, transport and bare streams; GIF
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".asf", ".ogv"}
    | {".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".m1v", ".m2v", ".gif"}
)

_HEIC = (
    "HEIC is not read; convert it: heif-convert a.heic a.jpg, or magick a.heic a.jpg, or on a Mac "
    "sips -s format jpeg a.heic --out a.jpg"
)
_RAW = "a camera's raw format is not read; develop it: dcraw -T a.{0}, or darktable-cli a.{0} a.png"
CONVERT = {
    ".heic": _HEIC,
    ".heif": _HEIC,
    ".hif": _HEIC,
    ".jxl": "JPEG XL is not read; convert it: djxl a.jxl a.png",
    ".jp2": "JPEG 2000 is not read; convert it: magick a.jp2 a.png",
    ".psd": "Photoshop's format is not read; convert it: magick 'a.psd[0]' a.png",
    **{f".{name}": _RAW.format(name) for name in ("dng", "cr2", "nef", "arw")},
}
"""What people have and is not read: extension to a sentence that says so and how to convert it."""

MAX_IMAGE_BYTES = 128 * 2**20
MAX_IMAGE_PIXELS = 89_478_485  # 256 MiB of RGB; above it Pillow warns of a decompression bomb
MAX_JPEG_SCANS = 100  # progressive files of libjpeg have 10, the most thrifty encoders make some 20
MAX_TIFF_PARTS = 100_000  # a strip a row, three planes, makes 90,000 of 30,000 rows
MAX_VIDEO_BYTES = 4 * 2**30
MAX_VIDEO_PIXELS = 8192 * 4352  # 8K, one frame
MAX_VIDEO_FRAMES = 216_000  # an hour at 60 frames a second
MAX_VIDEO_DURATION_S = 3600.0
MAX_SAMPLE_MEMORY_BYTES = 8 * 2**30  # of the process that reads and stores it: two copies of the largest file


class BadSample(ZoetropeError):
    """A file that cannot be used. `reason` is a short sentence for the quarantine table; the caller names the file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_bytes(size_bytes: int, cap_bytes: int) -> None:
    """Raise `BadSample` for an empty file and for one over the cap."""
    if size_bytes == 0:
        raise BadSample("the file is empty (zero bytes)")
    if size_bytes > cap_bytes:
        raise BadSample(f"the file has {size_bytes:,} bytes, more than the {cap_bytes:,} allowed")


def check_pixels(width: int, height: int, cap_pixels: int) -> None:
    """Raise `BadSample` for a picture without pixels and for one over the cap."""
    if width < 1 or height < 1:
        raise BadSample("the header gives no picture size")
    if width * height > cap_pixels:
        raise BadSample(f"{width} x {height} pixels are more than the {cap_pixels:,} allowed")


def check_length(frames: int, duration_s: float) -> None:
    """Raise `BadSample` for a video with too many frames or too long."""
    if frames > MAX_VIDEO_FRAMES:
        raise BadSample(f"the video has {frames:,} frames, more than the {MAX_VIDEO_FRAMES:,} allowed; cut it first")
    if duration_s > MAX_VIDEO_DURATION_S:
        raise BadSample(
            f"the video lasts {duration_s:,.0f} s, more than the {MAX_VIDEO_DURATION_S:,.0f} s allowed; cut it first"
        )
