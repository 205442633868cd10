from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import decode_image
from pipeline.decode.video import decode_frames
from pipeline.feed.views import ViewMaker
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import RawSample, ShardReader


def first(dataset: Dataset) -> RawSample:
    return ShardReader(dataset.folder, "val").read(0, 0)


def test_training_draws_by_seed_epoch_and_sample_alone(make_recipe: Any, images: Dataset) -> None:
    raw = first(images)
    recipe = make_recipe("image")
    one, other = ViewMaker(recipe, training=True), ViewMaker(recipe, training=True)
    other(raw.data, 1, 9, 9)  # what came before does not matter
    seen = {one(raw.data, 1, epoch, sample).tobytes() for epoch in range(6) for sample in range(6)}
    assert len(seen) > 12
    assert np.array_equal(one(raw.data, 1, 3, 4), other(raw.data, 1, 3, 4))
    reseeded = ViewMaker(make_recipe("image", seed=1), training=True)
    assert {reseeded(raw.data, 1, 0, sample).tobytes() for sample in range(6)} - seen


def test_each_occurrence_in_an_epoch_is_drawn_anew(make_recipe: Any, images: Dataset, videos: Dataset) -> None:
    for modality, dataset, frames in (("image", images, 1), ("video", videos, 6)):
        maker, raw = ViewMaker(make_recipe(modality), training=True), first(dataset)
        seen = {maker(raw.data, frames, 1, 2, occurrence).tobytes() for occurrence in range(12)}
        assert len(seen) > 6
        assert np.array_equal(maker(raw.data, frames, 1, 2, 0), maker(raw.data, frames, 1, 2))


def test_a_schedule_goes_by_the_epoch(make_recipe: Any, images: Dataset) -> None:
    crop = {"CenterCrop": {"height": 16, "width": 16}}
    schedule = [[0, [["Invert", 0.0, None]]], [2, [["Invert", 1.0, None]]]]
    raw = first(images)
    recipe = make_recipe("image", **{"augment.train": [crop, {"PopulationBased": {"schedule": schedule}}]})
    maker = ViewMaker(recipe, training=True)
    seen = {epoch: {maker(raw.data, 1, epoch, i).tobytes() for i in range(30)} for epoch in (3, 1, 2, 0)}
    assert [len(seen[epoch]) for epoch in range(4)] == [1, 1, 2, 2]


def test_evaluation_is_the_centre_whatever_the_key(make_recipe: Any, images: Dataset) -> None:
    raw = first(images)
    view = ViewMaker(make_recipe("image"), training=False)(raw.data, 1, 5, 6)
    assert view.shape == (1, 16, 16, 3)
    assert np.array_equal(view[0], decode_image(raw.data)[2:18, 4:20])


def test_three_crops_stand_where_the_centre_crop_stood(make_recipe: Any, images: Dataset) -> None:
    raw = first(images)
    views = ViewMaker(make_recipe("image", **{"evaluate.crops": 3}), training=False, num_crops=3)(raw.data, 1)
    pixels = decode_image(raw.data)
    assert all(np.array_equal(views[i], pixels[2:18, x : x + 16]) for i, x in enumerate((0, 4, 8)))


@pytest.mark.parametrize("crops", [5, 10])
def test_corners_and_centre_and_their_mirror_images(make_recipe: Any, images: Dataset, crops: int) -> None:
    raw = first(images)
    views = ViewMaker(make_recipe("image", **{"evaluate.crops": crops}), training=False, num_crops=crops)(raw.data, 1)
    pixels = decode_image(raw.data)
    assert pixels.shape == (20, 24, 3)
    expected = [pixels[y : y + 16, x : x + 16] for y, x in ((0, 0), (0, 8), (4, 0), (4, 8), (2, 4))]
    expected += [view[:, ::-1] for view in expected] if crops == 10 else []
    assert np.array_equal(views, expected)


def test_clips_times_crops_of_a_video(make_recipe: Any, videos: Dataset) -> None:
    raw = first(videos)
    maker = ViewMaker(make_recipe("video"), training=False, num_clips=2, num_crops=3)
    views = maker(raw.data, raw.frames)
    assert views.shape == (6, 3, 28, 28, 3)
    # 6 frames in 3 segments, seen at 1/4 and 3/4 of each: the crops of a clip follow each other
    for clip, frames in enumerate(([0, 2, 4], [1, 3, 5])):
        whole = decode_frames(raw.data, np.array(frames))
        assert np.array_equal(views[3 * clip + 1], whole[:, 2:30, 6:34])


def test_frames_of_a_clip_are_drawn_in_training(make_recipe: Any, videos: Dataset) -> None:
    raw = first(videos)
    for sampling in ("segments", "dense"):
        maker = ViewMaker(make_recipe("video", **{"clip.sampling": sampling}), training=True)
        assert len({maker(raw.data, raw.frames, epoch, 0).tobytes() for epoch in range(8)}) > 2


def test_what_cannot_be_decoded_is_said(make_recipe: Any) -> None:
    with pytest.raises(ZoetropeError):
        ViewMaker(make_recipe("image"), training=False)(b"not an image", 1)
    with pytest.raises(ZoetropeError):
        ViewMaker(make_recipe("video"), training=False)(b"not a video", 6)
