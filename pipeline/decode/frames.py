"""Videos that lie as a folder of pictures, one a frame, in the order of the last numbers in their names."""

import hashlib
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.base.alive import alive
from pipeline.decode.cut import check_inside, is_behind, is_inside
from pipeline.decode.image import check_image, decode_image
from pipeline.decode.image_header import open_image, upright_size
from pipeline.decode.limits import (
    IMAGE_EXTENSIONS,
    MAX_IMAGE_BYTES,
    MAX_VIDEO_PIXELS,
    BadSample,
    check_length,
)
from pipeline.decode.probe import Probe, open_file
from pipeline.decode.transcode import Transcoded, encode_pictures


def frame_files(folder: Path, pattern: str) -> list[Path]:
    """Return the frames of a folder in their order. BadSample when there are none, or two of one number."""
    try:
        paths = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_EXTENSIONS
            and fnmatchcase(path.name, pattern)
            and not path.name.startswith(".")
        ]
    except OSError as error:
        raise BadSample(f"the folder cannot be listed: {error.strerror}") from error
    numbered = {_place(path): path for path in sorted(paths)}
    if not numbered:
        raise BadSample(f"the folder has no picture named {pattern}")
    if len(numbered) < len(paths):
        twice = next(path for path in sorted(paths) if numbered[_place(path)] != path)
        raise BadSample(
            f"the folder has two frames of one number, {twice.name} and {numbered[_place(twice)].name}; "
            "set data.source.pattern"
        )
    return [numbered[place] for place in sorted(numbered)]


def _place(path: Path) -> tuple[int, str]:
    """Return the last number in the name; of names without one, the name."""
    numbers = re.findall(r"\d+", path.stem)
    return (int(numbers[-1]), "") if numbers else (-1, path.stem)


def probe_frames(folder: Path, pattern: str, fps: float) -> Probe:
    """Probe the header of the first frame, and how many there are."""
    paths = frame_files(folder, pattern)
    check_length(len(paths), len(paths) / fps)
    with open_file(paths[0]) as file, open_image(file) as image:
        width, height = upright_size(image)
    return Probe(width, height, len(paths), fps, len(paths) / fps, sum(path.stat().st_size for path in paths))


def encode_frames(
    folder: Path,
    pattern: str,
    fps: float,
    start_s: float | None,
    end_s: float | None,
    short_side: int,
    gop: int,
    crf: int,
) -> tuple[Transcoded, str]:
    """Encode the frames, or those from start_s to end_s, as a video like `transcode` makes; and the sha256 of their
    files.

    Raises BadSample for a frame that is broken, or of another size than the first one.
    """
    every = frame_files(folder, pattern)
    paths = [path for i, path in enumerate(every) if is_inside(i / fps, start_s, end_s)]
    if not is_behind((len(every) - 1) / fps, end_s):
        check_inside(start_s or 0.0, end_s or 0.0, len(every) / fps)
    check_length(len(paths), len(paths) / fps)
    content = hashlib.sha256()
    made = encode_pictures(_pictures(paths, content), fps, short_side, gop, crf)
    return made, content.hexdigest()


def _pictures(paths: list[Path], content: "hashlib._Hash") -> Iterator[npt.NDArray[np.uint8]]:
    """Yield uint8 [H, W, 3] of each frame, all of one size."""
    shape: tuple[int, ...] = ()
    for path in paths:
        try:
            picture, data = _decoded(path)
        except BadSample as error:
            raise BadSample(f"{path.name}: {error.reason}") from error
        content.update(data)
        shape = shape or picture.shape
        if picture.shape != shape:
            raise BadSample(
                f"{path.name} has {picture.shape[1]} x {picture.shape[0]} pixels, and the first frame "
                f"{shape[1]} x {shape[0]}"
            )
        alive()
        yield picture


def _decoded(path: Path) -> tuple[npt.NDArray[np.uint8], bytes]:
    with open_file(path) as file:
        data = file.read(MAX_IMAGE_BYTES + 1)
    check_image(data, MAX_VIDEO_PIXELS)
    return decode_image(data), data
