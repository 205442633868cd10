"""What a source file may be at most, and the error for one that is not admitted."""

from pipeline.base.errors import ZoetropeError

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
VIDEO_EXTENSIONS = frozenset(
    # MP4 and its kin; Matroska; AVI; Flash; Windows Media; Ogg; MPEG program, transport and bare streams; GIF
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".asf", ".ogv"}
    | {".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".m1v", ".m2v", ".gif"}
)

MAX_IMAGE_BYTES = 128 * 2**20
MAX_IMAGE_PIXELS = 89_478_485  # 256 MiB of RGB; above it Pillow warns of a decompression bomb
MAX_VIDEO_BYTES = 4 * 2**30
MAX_VIDEO_PIXELS = 8192 * 4352  # 8K, one frame
MAX_VIDEO_FRAMES = 216_000  # an hour at 60 frames a second
MAX_VIDEO_DURATION_S = 3600.0


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
