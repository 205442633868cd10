"""Known answers and ranges of frame sampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.keyed import generator
from pipeline.decode.clips import dense, segments, views

COUNTS = st.integers(1, 5000)
FRAMES = st.integers(1, 64)
STRIDES = st.integers(1, 16)


def test_segments_centre_known_answers() -> None:
    assert segments(80, 8).tolist() == [5, 15, 25, 35, 45, 55, 65, 75]
    assert segments(10, 4).tolist() == [1, 3, 6, 8]  # tick 2.5: 1.25, 3.75, 6.25, 8.75
    assert segments(8, 8).tolist() == list(range(8))
    assert segments(3, 8).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]  # a short video repeats frames
    assert segments(1, 3).tolist() == [0, 0, 0]


@given(COUNTS, FRAMES)
def test_segments_centre_is_tsm_uniform_test_offset(num_frames: int, clip_frames: int) -> None:
    # int(tick / 2 + tick * i) with tick = N / T, in exact arithmetic
    expected = [(num_frames + 2 * num_frames * i) // (2 * clip_frames) for i in range(clip_frames)]
    assert segments(num_frames, clip_frames).tolist() == expected


@given(COUNTS, FRAMES, st.integers(0, 1000))
def test_segments_random_stays_in_its_part(num_frames: int, clip_frames: int, seed: int) -> None:
    frames = segments(num_frames, clip_frames, generator(seed))
    assert frames.shape == (clip_frames,)
    assert frames.dtype == np.int64
    for i, frame in enumerate(frames.tolist()):
        assert i * num_frames // clip_frames <= frame <= ((i + 1) * num_frames - 1) // clip_frames


def test_segments_random_reaches_every_frame_evenly() -> None:
    draws = np.concatenate([segments(10, 4, generator("s", i)) for i in range(4000)])
    share = np.bincount(draws, minlength=10) / len(draws)
    assert share.min() > 0.09
    assert share.max() < 0.11


def test_dense_known_answers() -> None:
    assert dense(100, 4, 8).tolist() == [37, 45, 53, 61]  # window 25, starts 0..75, centre 37
    assert dense(25, 4, 8).tolist() == [0, 8, 16, 24]
    assert dense(10, 4, 4).tolist() == [0, 4, 8, 2]  # shorter than the window of 13: a loop
    assert dense(10, 4, 4, generator(0)).tolist() == [0, 4, 8, 2]
    assert dense(1, 3, 2).tolist() == [0, 0, 0]


def test_dense_random_reaches_every_start() -> None:
    starts = {int(dense(12, 3, 4, generator("d", i))[0]) for i in range(200)}
    assert starts == {0, 1, 2, 3}  # window 9 in 12 frames


@given(COUNTS, FRAMES, STRIDES, st.integers(1, 12), st.integers(0, 100))
def test_all_indices_are_frames(num_frames: int, clip_frames: int, stride: int, clips: int, seed: int) -> None:
    for frames in (
        dense(num_frames, clip_frames, stride, generator(seed)),
        views(num_frames, clip_frames, clips, "dense", stride),
        views(num_frames, clip_frames, clips, "segments", stride),
    ):
        assert frames.dtype == np.int64
        assert frames.min() >= 0
        assert frames.max() < num_frames


@given(COUNTS, FRAMES, STRIDES)
def test_one_view_is_the_centred_clip(num_frames: int, clip_frames: int, stride: int) -> None:
    assert (
        views(num_frames, clip_frames, 1, "dense", stride)[0].tolist()
        == dense(num_frames, clip_frames, stride).tolist()
    )
    assert views(num_frames, clip_frames, 1, "segments", 1)[0].tolist() == segments(num_frames, clip_frames).tolist()


def test_views_known_answers() -> None:
    assert views(100, 2, 4, "dense", 9).tolist() == [[0, 9], [30, 39], [60, 69], [90, 99]]
    assert views(40, 2, 2, "segments", 1).tolist() == [[5, 25], [15, 35]]
    # TSM's ten clips: linspace(0, N - window, 10) rounded down
    starts = views(300, 8, 10, "dense", 8)[:, 0]
    assert starts.tolist() == [int(x) for x in np.linspace(0, 300 - 57, 10) + 1e-9]
    assert views(5, 4, 3, "dense", 4).tolist() == [[0, 4, 3, 2]] * 3  # shorter than the window: all the same loop


@pytest.mark.parametrize(("num_frames", "clip_frames"), [(0, 8), (8, 0)])
def test_empty_is_refused(num_frames: int, clip_frames: int) -> None:
    with pytest.raises(ValueError, match="cannot be taken"):
        segments(num_frames, clip_frames)
    with pytest.raises(ValueError, match="cannot be taken"):
        dense(num_frames, clip_frames, 1)
