"""A new file to what a model sees of it, the way that a sample goes in the run. Without torch, for processes."""

import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from augment.rides import Companions
from pipeline.base.bands import Bands
from pipeline.base.errors import ZoetropeError
from pipeline.decode.flow import compute_flow
from pipeline.decode.foreign import check_video
from pipeline.decode.image import check_and_store_image, decode_image, encode_lossless
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_VIDEO_BYTES, BadSample, check_bytes
from pipeline.decode.probe import Kind, check_suffix, open_file, probe_file
from pipeline.decode.targets import store_exactly
from pipeline.decode.transcode import Transcoded, encode_pictures, transcode
from pipeline.feed.feed_worker import keep_freed_memory
from pipeline.feed.views import ViewMaker
from pipeline.figures.drawing import as_rgb
from pipeline.figures.flow import shown
from pipeline.recipe import Recipe
from pipeline.sources.path_or_url import check_url, is_url, local_copy, suffix
from pipeline.tasks import task_of

Content = bytes | np.ndarray
"""Of a file, or its pixels: uint8 [H, W, 3] RGB of an image, [T, H, W, 3] of a video; of other bands theirs."""
File = str | Content
"""By its path or URL, or by its content."""
OWN_SIZE_PX = 1 << 16
"""A shorter side that no video has, so that none is made smaller."""
FPS = 25
"""Of frames that are given by their pixels; no model looks at it."""


@dataclass(frozen=True)
class Seen:
    """What a model sees of one file.

    pixels: uint8 [V, (T,) H, W, 3], all views; of a model of flow alone its fields, [V, T, H, W, 2 L]
    frame:  float64 [2, 3], maps (x, y, 1) in px of the file to px of the view, where answers have places in it
    size:   (H, W) of the file in px as it is shown, likewise
    shown:  the picture uint8 [H, W, 3] RGB or frames [T, H, W, 3] to draw on, where it is asked for
    flow:   uint8 [V, T, H, W, 2 L], of a two-stream model
    """

    pixels: np.ndarray
    frame: np.ndarray | None = None
    size: tuple[int, int] | None = None
    shown: np.ndarray | None = None
    flow: np.ndarray | None = None

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What the model looks at, by name."""
        return {"pixels": self.pixels} if self.flow is None else {"pixels": self.pixels, "flow": self.flow}


@dataclass(frozen=True, eq=False)
class Sight:
    """How a recipe's model sees files: checked and stored as the shard stage does, then as `evaluate` says.

    cap_pixels: of a picture, at most
    shows: whether `Seen.shown` is asked for
    """

    recipe: Recipe
    cap_pixels: int = MAX_IMAGE_PIXELS
    shows: bool = False
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """By which another process finds again what it has built of the recipe."""

    @property
    def views(self) -> ViewMaker:
        """The recipe's transforms, built once in a process."""
        if self.token not in _built:
            evaluate = self.recipe.evaluate
            _built[self.token] = ViewMaker(
                self.recipe, training=False, num_clips=evaluate.clips, num_crops=evaluate.crops, known=False
            )
        return _built[self.token]

    def sees_as(self, other: "Sight") -> bool:
        """Tell whether both store and show files alike; a seed is of no matter where nothing is drawn at random."""
        ours, theirs = (
            (one.data.bands, one.shard, one.clip, one.augment.eval, one.evaluate.clips, one.evaluate.crops, one.inputs)
            for one in (self.recipe, other.recipe)
        )
        return ours == theirs and (self.cap_pixels, self.shows) == (other.cap_pixels, other.shows)

    def __call__(self, content: Content) -> Seen:
        """See an image or a video. ZoetropeError for one that cannot be."""
        if self.recipe.task.modality == "video":
            stored = self._stored_video(content)
            seen = self.views.inputs(stored.data, stored.frames, self._flow(stored))
            first = {name: views[0] for name, views in seen.items()}
            drawn = shown(first, self.recipe.sees_flow_alone) if self.shows else None
            return Seen(seen["pixels"], shown=drawn, flow=seen.get("flow"))
        image, bands = self.recipe.shard.image, self.recipe.data.bands
        if isinstance(content, np.ndarray):
            content = _file(content, bands)
        if self.recipe.task.answers == "image":
            data, _, width, height = store_exactly(content, ".jpg", self.cap_pixels)
        else:
            data, _, width, height = check_and_store_image(
                content, ".jpg", image.short_side, image.quality, image.resize, self.cap_pixels, bands
            )
        picture = as_rgb(decode_image(content, bands)) if self.shows else None
        if not task_of(self.recipe).rides:
            return Seen(self.views(data, 1), shown=picture)
        source, view = probe_file(io.BytesIO(content), "image", bands=bands), self.views.view(data, Companions())
        assert view.frame is not None
        frame = view.frame.astype(np.float64)
        frame[:, :2] *= (width / source.width, height / source.height)
        return Seen(view.pixels[None], frame, (source.height, source.width), picture)

    def _flow(self, stored: Transcoded) -> bytes | None:
        """Compute the flow, where the model looks at it: of a new video none is given."""
        flow = self.recipe.shard.flow
        if self.recipe.clip.flow is None or flow is None:
            return None
        return compute_flow(stored, flow.limit_px, self.recipe.shard.video.gop, flow.crf)

    def _stored_video(self, content: Content) -> Transcoded:
        video = self.recipe.shard.video
        if isinstance(content, np.ndarray):
            frames = iter(_frames(content))
            return encode_pictures(frames, FPS, video.short_side, video.gop, video.crf)
        if video.transcode:
            return transcode(content, video.short_side, video.gop, video.crf)
        try:
            return check_video(content)
        except BadSample:  # a kind that no shard may have; of a broken file the next line says what is wrong
            return transcode(content, OWN_SIZE_PX, video.gop, video.crf)


def _file(pixels: np.ndarray, bands: Bands) -> bytes:
    """Return what a file of these pixels would hold. BadSample for those that are no picture of the bands."""
    try:
        return encode_lossless(pixels, bands)[0]
    except ValueError as error:
        raise BadSample(f"{error}; this one is {pixels.dtype} {list(pixels.shape)}") from error


def _frames(pixels: np.ndarray) -> np.ndarray:
    """Return the frames of a video. BadSample for pixels that are none."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3 or not pixels.size:
        raise BadSample(f"an array is uint8 [T, H, W, 3], RGB; this one is {pixels.dtype} {list(pixels.shape)}")
    return pixels


_built: dict[str, ViewMaker] = {}


def see(sights: Sequence[Sight], file: File) -> tuple[Seen, ...]:
    """See one file as each model does, once for those that see alike. ZoetropeError, such as BadSample, with the
    reason.
    """
    try:
        content = read(file, sights[0].recipe) if isinstance(file, str) else file
        seen: list[Seen] = []
        for i, sight in enumerate(sights):
            same = next((j for j in range(i) if sights[j].sees_as(sight)), None)
            seen.append(sight(content) if same is None else seen[same])
        return tuple(seen)
    except (ZoetropeError, MemoryError):
        raise
    except Exception as error:  # decoders and transforms raise whatever broken data makes them
        raise BadSample(f"{type(error).__name__}: {error}") from error


def see_apart(sights: Sequence[Sight], file: File) -> tuple[Seen, ...]:
    """See a file in a process that does nothing else."""
    _alone()
    return see(sights, file)


@cache
def _alone() -> None:
    """Take no more threads than one, and keep memory, as a feed worker does."""
    cv2.setNumThreads(0)
    keep_freed_memory()


def read(path: str, recipe: Recipe) -> bytes:
    """Read a file by path or URL (http and https, s3 and its like). ZoetropeError, also over the cap of its kind."""
    kind: Kind = recipe.task.modality
    cap_bytes = MAX_VIDEO_BYTES if kind == "video" else MAX_IMAGE_BYTES
    if is_url(path):
        check_url(path)
        with local_copy(path, cap_bytes) as copy:
            return copy.read_bytes()
    check_suffix(suffix(path), kind, recipe.data.bands)
    with open_file(Path(path)) as file:
        check_bytes(file.seek(0, io.SEEK_END), cap_bytes)
        file.seek(0)
        return file.read()
