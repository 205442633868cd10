"""One stored sample to the pixels that a model sees: decoded, cut into clips and transformed."""

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from augment import flow as fields_of
from augment.rides import ITSELF, Companions, Rides, View, unmoved
from augment.transforms import compose, output_shape, shape_of
from augment.views import CROPS, ten_crops
from pipeline.base.bands import Bands
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator
from pipeline.decode import clips
from pipeline.decode.image import decode_image
from pipeline.decode.limits import BadSample
from pipeline.decode.video import decode_frames
from pipeline.feed.cache import Place
from pipeline.feed.laps import Laps
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.walk import Walk
from pipeline.tasks import task_of
from pipeline.tasks.base import riding


class ViewMaker:
    """The recipe's decoding and transforms, built once. In training one view a sample, else all of `evaluate`'s.

    known: whether samples come with what rides, as those of a data set do
    """

    def __init__(
        self,
        recipe: Recipe,
        training: bool,
        num_clips: int = 1,
        num_crops: int = 1,
        laps: Laps | None = None,
        known: bool = True,
    ) -> None:
        self.recipe, self.training, self.num_clips = recipe, training, num_clips
        self.task, self.known = task_of(recipe), known
        self.any_size = self.task.any_size and not training
        self.laps = laps or Laps(on=False)
        transforms = list(_transforms(recipe, training))
        self.size: tuple[int, int] | None = None
        self.crops = CROPS.get(num_crops)
        self.crop = transforms.pop()["CenterCrop"] if self.crops else None
        self.transform = compose(transforms, rides(recipe, training, known), recipe.data.bands)

    def __call__(
        self,
        data: bytes | memoryview,
        num_frames: int,
        epoch: int = 0,
        sample: int = 0,
        occurrence: int = 0,
        place: Place | None = None,
    ) -> np.ndarray:
        """Return uint8 [V, H, W, 3] of an image, [V, T, H, W, 3] of a video of `num_frames`; V = clips x crops.

        Pictures of other `data.bands` have their type and channels here and below. What was decoded is kept in `place`,
        and taken from there the next time.

        Every draw is keyed by (seed, epoch, sample, occurrence). Raises ZoetropeError or IndexError when data cannot be
        decoded, and BadSample when H and W are not `view_size`.
        """
        seed = self.recipe.seed
        key = _key(epoch, sample, occurrence)
        decoded = self._decode(data, num_frames, *key, place=place)
        self.laps.lap("decode")
        views = self._cropped([self.transform(view, seed, "augment", *key, epoch=epoch) for view in decoded])
        for view in views:
            self._check_size(*view.shape[-3:-1])
        self.laps.lap("augment")
        return views[0][None] if len(views) == 1 else np.stack(views)  # one is not copied

    def inputs(
        self,
        data: bytes | memoryview,
        num_frames: int,
        flow: bytes | memoryview | None,
        epoch: int = 0,
        sample: int = 0,
        occurrence: int = 0,
        place: Place | None = None,
    ) -> dict[str, np.ndarray]:
        """Return all that the model looks at, by the names of `recipe.inputs`: what calling it returns as `pixels`.

        Flow is uint8 [V, T, H, W, 2 L], L fields a frame, moved as the frames are; of a model that looks at it alone it
        is the `pixels`, and no frame is decoded. `flow` is the sample's, needed where the recipe asks for it.
        """
        recipe, pixels = self.recipe, {}
        if not recipe.sees_flow_alone:
            pixels["pixels"] = self(data, num_frames, epoch, sample, occurrence, place)
        if recipe.clip.flow is None:
            return pixels
        assert flow is not None
        key = _key(epoch, sample, occurrence)
        stored, places = self._fields(flow, num_frames, *key)
        self.laps.lap("decode")
        moved = self._moved(stored, key, epoch)
        views = self._cropped([fields_of.stack(moved, of_clip) for of_clip in places])
        if self.crops is ten_crops:
            views = [fields_of.mirrored(view) if i % 10 >= 5 else view for i, view in enumerate(views)]
        for view in views:
            self._check_size(*view.shape[-3:-1])
        self.laps.lap("augment")
        return {**pixels, "flow" if pixels else "pixels": np.stack(views)}

    def view(
        self,
        data: bytes | memoryview,
        companions: Companions,
        epoch: int = 0,
        sample: int = 0,
        occurrence: int = 0,
        place: Place | None = None,
    ) -> View:
        """Return one view of an image, and of what rides along. Draws and errors as of calling it."""
        key = _key(epoch, sample, occurrence)
        decoded = self._picture(data, place)
        self.laps.lap("decode")
        view = self.transform.view(decoded, companions, self.recipe.seed, "augment", *key, epoch=epoch)
        self._check_size(*view.pixels.shape[:2])
        seen = self.task.seen(view, self.recipe.seed, *key) if self.known else view
        self.laps.lap("augment")
        return seen

    def _check_size(self, height: int, width: int) -> None:
        """Raise `BadSample` for a view of another size than all have: of pictures that were stored as they came."""
        if self.any_size:
            return
        if self.size is None:  # not before a sample has passed the transforms, whose own errors say more
            self.size = view_size(self.recipe, self.training)
        if (height, width) != self.size:
            raise BadSample(
                f"augment.{'train' if self.training else 'eval'} makes {width} x {height} px of it, and a batch has "
                f"{self.size[1]} x {self.size[0]} px: end the list with a crop or resize to a fixed size"
            )

    def explain(
        self,
        data: bytes | memoryview,
        num_frames: int,
        companions: Companions,
        epoch: int,
        sample: int,
        occurrence: int = 0,
        flow: bytes | memoryview | None = None,
    ) -> tuple[View, View, list[str]]:
        """Return a training view as it was decoded, and transformed, uint8 [(T,) H, W, 3], and
        the names of what was done.

        With `flow` views have it, too; of a model that looks at it alone they have frames besides.
        """
        drawn = _key(epoch, sample, occurrence)
        (decoded,) = self._decode(data, num_frames, *drawn)
        key: tuple[int | str, ...] = (self.recipe.seed, "augment", *drawn)
        stored = unmoved(decoded, companions)
        if companions.kinds():
            view, names = self.transform.explain_view(decoded, companions, *key, epoch=epoch)
        else:
            pixels, names = self.transform.explain(decoded, *key, epoch=epoch)
            view = View(pixels)
        if flow is not None:
            fields, (places,) = self._fields(flow, num_frames, *drawn)
            stored = replace(stored, flow=fields_of.stack(fields, places))
            view = replace(view, flow=fields_of.stack(self._moved(fields, drawn, epoch), places))
        before, after = (self.task.seen(one, self.recipe.seed, *drawn) for one in (stored, view))
        return before, after, names

    def _cropped(self, views: list[np.ndarray]) -> list[np.ndarray]:
        """Cut the crops of an evaluation out of each view."""
        if not (self.crops and self.crop):
            return views
        return [crop for view in views for crop in self.crops(view, self.crop["height"], self.crop["width"])]

    def _decode(self, data: bytes | memoryview, num_frames: int, *key: int, place: Place | None = None) -> np.ndarray:
        """Return uint8 [clips, H, W, 3] or [clips, T, H, W, 3]."""
        if self.recipe.task.modality == "image":
            return self._picture(data, place)[None]
        frames = self._frames(num_frames, *key)
        if place and (every := _every_frame(data, num_frames, place)) is not None:
            return every[frames]  # a copy
        decoded = decode_frames(data, frames.ravel())
        return decoded.reshape(*frames.shape, *decoded.shape[1:])

    def _picture(self, data: bytes | memoryview, place: Place | None) -> np.ndarray:
        """Return uint8 [H, W, 3], decoded or kept."""
        if place and (kept := place.get()) is not None:
            return kept if self.transform.only_reads else kept.copy()
        decoded = decode_image(data, self.recipe.data.bands)
        if place:
            place.put(decoded)
        return decoded

    def _frames(self, num_frames: int, *key: int) -> clips.IntArray:
        """Return which frames the clips have: int64 [clips, T]."""
        clip = self.recipe.clip
        if not self.training:
            return clips.views(num_frames, clip.frames, self.num_clips, clip.sampling, clip.stride)
        rng = generator(self.recipe.seed, "clip", *key)
        if clip.sampling == "segments":
            return clips.segments(num_frames, clip.frames, rng)[None]
        return clips.dense(num_frames, clip.frames, clip.stride, rng)[None]

    def _fields(self, flow: bytes | memoryview, num_frames: int, *key: int) -> tuple[np.ndarray, np.ndarray]:
        """Decode the fields that the clips have, each once, uint8 [F, 2, H, W]; and which of them: [clips, T, L]."""
        from pipeline.decode.flow import read_flow

        wanted = self._frames(num_frames, *key)[..., None] + np.arange(self.recipe.clip.flow or 0)
        chosen, places = np.unique(np.minimum(wanted, num_frames - 1), return_inverse=True)
        return read_flow(flow, chosen), places.reshape(wanted.shape)

    def _moved(self, fields: np.ndarray, key: tuple[int, ...], epoch: int) -> np.ndarray:
        """Move fields as the transforms move a frame by the same draws: tried on a black one."""
        black = np.zeros((*fields.shape[2:], 3), np.uint8)
        view = self.transform.view(black, Companions(), self.recipe.seed, "augment", *key, epoch=epoch)
        assert view.frame is not None  # as `rides` refuses what bends it
        return fields_of.move(fields, view.frame, view.pixels.shape[:2])


def _every_frame(data: bytes | memoryview, num_frames: int, place: Place) -> np.ndarray | None:
    """Return all frames of a video, uint8 [T, H, W, 3], decoded or kept; None where some cannot be decoded, which a
    clip may do without.
    """
    if (kept := place.get()) is not None:
        return kept
    try:
        decoded = decode_frames(data, np.arange(num_frames))
    except (ZoetropeError, IndexError):
        return None
    place.put(decoded)
    return decoded


def rides(recipe: Recipe, training: bool, known: bool = True) -> Rides:
    """Return what goes through the transforms; without a truth that is `known`, as of a new file, the frame alone."""
    names = riding(task_of(recipe), training, recipe.clip.flow is not None)
    return Rides(names if known else names & ITSELF)


def view_size(recipe: Recipe, training: bool) -> tuple[int, int]:
    """Return (H, W) of what the recipe's transforms make of stored pixels; ZoetropeError when it is not always one."""
    transforms = json.dumps(_transforms(recipe, training))
    return _fixed_size(transforms, recipe.stored_short_side, rides(recipe, training), recipe.data.bands)


@lru_cache
def _fixed_size(transforms: str, short_side: int, rides: Rides, bands: Bands) -> tuple[int, int]:
    return output_shape(json.loads(transforms), short_side, rides, bands)


def evaluation_walk(recipe: Recipe, dataset: Dataset, split: str) -> Walk:
    """Return how to walk over a split. Where its pictures may have several sizes, every shard's index is read.

    A picture that the transforms do not fit is put among some others: it is a bad sample when its turn comes.
    """
    counts, asked = dataset.split(split).counts, recipe.evaluate.batch_size
    if not task_of(recipe).any_size:
        return Walk(counts, asked or recipe.train.batch_size, (view_size(recipe, training=False),))
    transform = compose(recipe.augment.eval, rides(recipe, training=False), recipe.data.bands)
    reader = ShardReader(dataset.files, split)
    stored, number = np.unique(
        np.concatenate([reader.sizes(shard) for shard in range(len(counts))]), axis=0, return_inverse=True
    )
    made: list[tuple[int, int] | None] = []
    for height, width in stored.tolist():
        try:
            made.append(shape_of(transform, height, width))
        except ZoetropeError as error:
            made.append(None)
            reason = error
    if not (sizes := sorted({size for size in made if size})):
        raise ZoetropeError(f"augment.eval fits no picture of the split {split!r}: {reason}")
    batch_size = asked or (recipe.train.batch_size if len(sizes) == 1 else 1)
    of = np.array([sizes.index(size or sizes[0]) for size in made])[number.reshape(-1)]
    return Walk(counts, batch_size, tuple(sizes), of)


def _transforms(recipe: Recipe, training: bool) -> list[dict[str, dict[str, Any]]]:
    return task_of(recipe).transforms(recipe.augment.train if training else recipe.augment.eval)


def _key(epoch: int, sample: int, occurrence: int) -> tuple[int, ...]:
    """Return the key that tells draws apart.

    The first occurrence has the key that samples had when each came once an epoch.
    """
    return (epoch, sample, occurrence) if occurrence else (epoch, sample)
