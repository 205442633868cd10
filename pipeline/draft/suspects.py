"""Files that look wrong: empty ones, contents that belie the extension, and tiny pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.sources.listing import Candidate
from pipeline.sources.path_or_url import is_url, suffix
from pipeline.sources.rows import Row

TINY_PX = 16
CONTENTS: Mapping[bytes, tuple[str, frozenset[str]]] = {
    b"\xff\xd8\xff": ("JPEG", frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})),
    b"\x89PNG": ("PNG", frozenset({".png"})),
    b"GIF8": ("GIF", frozenset({".gif"})),
    b"BM": ("BMP", frozenset({".bmp"})),
    b"II*\0": ("TIFF", frozenset({".tif", ".tiff"})),
    b"MM\0*": ("TIFF", frozenset({".tif", ".tiff"})),
    b"\x1a\x45\xdf\xa3": ("Matroska or WebM", frozenset({".mkv", ".webm"})),
    b"FLV\x01": ("FLV", frozenset({".flv"})),
    b"OggS": ("Ogg", frozenset({".ogv"})),
}
"""How a file begins -> what it is, and the extensions that such files have."""


def sizes_of(candidates: Sequence[Candidate]) -> dict[str, int]:
    """Return key -> bytes of those that are local files and there."""
    found = {}
    for one in candidates:
        if not is_url(one.path) and one.frames is None and one.path:
            try:
                found[one.key] = Path(one.path).stat().st_size
            except OSError:
                continue
    return found


def misnamed(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return (key, what it is) of files whose content is of another kind than their extension says."""
    found = []
    for row in rows:
        path = row.get("path", "")
        if path and not is_url(path) and "frame_folder" not in row:
            with Path(path).open("rb") as file:
                head = file.read(16)
            for beginning, (what, extensions) in CONTENTS.items():
                if head.startswith(beginning) and suffix(path) not in extensions:
                    found.append((row["key"], what))
    return found


def tiny(rows: Sequence[Row]) -> list[str]:
    """Return the keys of pictures and videos whose shorter side is below `TINY_PX`."""
    return [row["key"] for row in rows if min(row["width"], row["height"]) < TINY_PX]
