import ast
import os
import pickle
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode.image import decode_image
from pipeline.decode.video import decode_frames
from pipeline.feed import cache, processes
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.cache import Cache, fitting, layout, placed_bytes, words
from pipeline.feed.local import LocalFeed
from pipeline.recipe import Recipe, check
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import write_dataset, write_shard
from pipeline.store.cache import VARIABLE
from tests.conftest import image_sample
from tests.pipeline.feed.test_local import TIMEOUT_S, assert_same, copied
from tests.pipeline.tasks.detection.boxed import write_boxed
from tests.pipeline.tasks.detection.test_detection import values as detection

ROOT = Path(__file__).parents[3]
PICTURE = 20 * 24 * 3  # bytes, 1440: 1472 on cache lines, and 9 beside
ALL = "1MB"
TEN = str(80 + 10 * (1472 + 9))
"""So much that ten pictures fit and not one more."""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node of its own: what stands for its memory, and its disk."""
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(cache, "SHARED", tmp_path / "memory")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "disk"))
    return tmp_path


def kept(folder: Path) -> list[Path]:
    return [path for place in ("memory", "disk") for path in folder.glob(f"{place}/*/*") if path.name != "lock"]


def training(recipe: Recipe, dataset: Dataset) -> BatchSource:
    return BatchSource(recipe, dataset, "train", training=True)


def two_epochs(source: BatchSource) -> range:
    return range(2 * source.steps)


def opened(source: BatchSource, steps: range, say: Any = pytest.fail) -> Cache | None:
    return cache.opened(source.recipe, source.dataset, source.comes_again(steps), say)


def open_one(source: BatchSource) -> Cache:
    found = opened(source, two_epochs(source))
    assert found is not None
    return found


def there(found: Cache) -> list[int]:
    return np.flatnonzero(found.there).tolist()


def batches(source: BatchSource, workers: int = 0) -> list[Any]:
    with closing(LocalFeed(source, range(3 * source.steps), workers, TIMEOUT_S)) as feed:
        return copied(iter(feed))


def without(source: BatchSource) -> BatchSource:
    recipe = source.recipe
    return replace(source, recipe=recipe.model_copy(update={"feed": recipe.feed.model_copy(update={"cache": None})}))


SMALL = [{"Resize": {"height": 16, "width": 16}}]
BY_TRANSFORM: list[list[dict[str, Any]]] = [
    [{"RandomCrop": {"height": 16, "width": 16}}, {"HorizontalFlip": {}}],
    [{"HorizontalFlip": {"p": 0.5}}, *SMALL],
    [{"RandomCrop": {"height": 20, "width": 24}}, {"Cutout": {"size": 8, "p": 1.0}}, {"ColorJitter": {}}, *SMALL],
    [{"RandomResizedCrop": {"size": [16, 16]}}, {"CoarseDropout": {"fill": "random"}}],
]


@pytest.mark.parametrize("limit", [ALL, TEN])
@pytest.mark.parametrize("transforms", BY_TRANSFORM)
def test_batches_of_images_are_the_same(make_recipe: Any, images: Dataset, transforms: Any, limit: str) -> None:
    source = training(make_recipe("image", **{"augment.train": transforms, "feed.cache": limit}), images)
    with closing(open_one(source)) as found:
        assert_same(batches(source), batches(without(source)))
        assert 0 < len(there(found)) <= (26 if limit == ALL else 10)  # an epoch drops its rest


@pytest.mark.parametrize("changes", [{}, {"clip.sampling": "dense", "clip.stride": 2}])
def test_batches_of_clips_are_the_same(make_recipe: Any, videos: Dataset, changes: dict[str, Any]) -> None:
    source = training(make_recipe("video", **changes, **{"feed.cache": ALL}), videos)
    with closing(open_one(source)) as found:
        assert_same(batches(source), batches(without(source)))
        assert len(there(found)) > 0


def test_batches_with_companions_are_the_same(tmp_path: Path) -> None:
    boxed = write_boxed(tmp_path / "boxed")
    source = training(check(detection(feed={"workers": 0, "cache": ALL}), "x"), boxed)
    with closing(open_one(source)) as found:
        assert_same(batches(source), batches(without(source)))
        assert len(there(found)) > 0


@pytest.mark.parametrize("bands", [{"data.channels": 1}, {"data.channels": 4}])
def test_pictures_of_other_bands_have_their_own_file(make_recipe: Any, images: Dataset, bands: dict[str, int]) -> None:
    rgb = training(make_recipe("image", **{"feed.cache": ALL}), images)
    measured = {"augment.mean": "measure", "augment.std": "measure"}
    other = training(make_recipe("image", **bands, **measured, **{"feed.cache": ALL}), images)
    with closing(open_one(rgb)) as one, closing(open_one(other)) as two:
        assert one.path != two.path
        assert_same(batches(other), batches(without(other)))


def test_what_is_kept_is_what_the_decoders_give(make_recipe: Any, images: Dataset, videos: Dataset) -> None:
    for name, dataset in (("image", images), ("video", videos)):
        source = training(make_recipe(name, **{"feed.cache": ALL, "train.keep_last": True}), dataset)
        reader = ShardReader(dataset.files, "train")
        with closing(open_one(source)) as found:
            batches(source)
            assert there(found) == list(range(26))
            for sample in (0, 15, 16, 25):
                raw = reader.read(*dataset.split("train").place(sample))
                place = found.place("train", sample, cache.shape_of(source.recipe, raw))
                assert place is not None
                expected = decode_image(raw.data) if name == "image" else decode_frames(raw.data, np.arange(6))
                assert np.array_equal(place.pixels, expected)


def test_worker_processes_share_what_they_decode(make_recipe: Any, images: Dataset) -> None:
    source = training(make_recipe("image", **{"feed.cache": ALL}), images)
    with closing(open_one(source)) as found:
        assert_same(batches(source, workers=2), batches(without(source)))
        first = there(found)
        assert first
        # What stands there is what others see: of a picture that was changed, so is the batch.
        found.place("train", first[0], (20, 24, 3)).pixels[...] = 7  # type: ignore[union-attr]
        changed = [
            arrays["pixels"][i]
            for _, arrays in batches(source, workers=1)
            for i in np.flatnonzero(arrays["sample"] == first[0])
        ]
        assert changed
        assert all((pixels == 7).all() for pixels in changed)


def test_an_evaluation_in_a_training_uses_what_this_one_keeps(make_recipe: Any, images: Dataset) -> None:
    recipe = make_recipe("image", **{"feed.cache": ALL})
    source, val = training(recipe, images), BatchSource(recipe, images, "val")
    assert opened(val, range(val.steps)) is None  # by itself it comes once
    with closing(open_one(source)) as found:
        expected = batches(without(val))
        assert_same(batches(val), expected)
        assert there(found) == list(range(26, 33))
        assert_same(batches(val), expected)


def test_a_training_of_one_epoch_keeps_nothing(make_recipe: Any, images: Dataset) -> None:
    source = training(make_recipe("image", **{"feed.cache": ALL}), images)
    assert opened(source, range(source.steps)) is None
    assert opened(source, range(0)) is None
    assert opened(without(source), two_epochs(source)) is None


def test_where_a_part_fits_it_is_the_first(make_recipe: Any, images: Dataset, videos: Dataset, places: Path) -> None:
    assert placed_bytes(make_recipe("image", **{"feed.cache": TEN}), images).tolist() == [PICTURE] * 10
    assert placed_bytes(make_recipe("image", **{"feed.cache": str(int(TEN) - 1)}), images).tolist() == [PICTURE] * 9
    assert placed_bytes(make_recipe("image", **{"feed.cache": ALL}), images).tolist() == [PICTURE] * 33
    assert placed_bytes(make_recipe("video", **{"feed.cache": ALL}), videos).tolist() == [6 * 32 * 40 * 3] * 33
    recipe = make_recipe("image", **{"feed.cache": TEN})
    assert words(recipe, images) == f"feed.cache: 10 of 26 training samples fit in {TEN}"
    with closing(open_one(training(recipe, images))) as found:
        assert found.count == 10
        assert found.bytes == found.path.stat().st_size <= int(TEN)
        assert found.path.stat().st_blocks * 512 >= found.bytes  # set aside
        assert found.place("train", 9, (20, 24, 3)) is not None
        assert found.place("train", 10, (20, 24, 3)) is None
        assert found.place("val", 0, (20, 24, 3)) is None
        assert found.place("test", 0, (20, 24, 3)) is None
    assert kept(places) == []


def test_long_videos_are_not_kept(make_recipe: Any, videos: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FRAMES", 5)
    told: list[str] = []
    recipe = make_recipe("video", **{"feed.cache": ALL})
    assert not placed_bytes(recipe, videos).any()
    source = training(recipe, videos)
    assert opened(source, two_epochs(source), told.append) is None
    assert told == ["feed.cache: 0 of 26 training samples fit in 1MB; videos of more than 5 frames are not kept"]


@given(st.lists(st.integers(0, 5000), max_size=30), st.integers(-100, 60_000))
def test_a_file_is_as_full_as_it_can_be_and_no_fuller(sizes: list[int], limit: int) -> None:
    nbytes = np.array(sizes, np.int64)
    count = fitting(nbytes, limit - cache._HEAD_BYTES)
    starts = layout(nbytes[:count])
    assert len(starts) == count + 1
    assert (starts % 64 == 0).all()
    assert starts[0] >= 8 * (count + 2) + count
    assert (np.diff(starts) >= nbytes[:count]).all()
    assert (np.diff(starts) < nbytes[:count] + 64).all()
    if count:
        assert starts[-1] <= limit
    if count < len(sizes):  # the next one would not have fitted, but for what may be left of a cache line
        assert layout(nbytes[: count + 1])[-1] > limit - cache._HEAD_BYTES


def test_a_write_that_was_torn_is_made_again(make_recipe: Any, images: Dataset) -> None:
    source = training(make_recipe("image", **{"feed.cache": ALL}), images)
    with closing(open_one(source)) as found:
        expected = batches(without(source))
        batches(source)
        sample = there(found)[0]
        place = found.place("train", sample, (20, 24, 3))
        assert place is not None
        place.there[0] = 0
        place.pixels[10:] = 0
        assert place.get() is None
        assert_same(batches(source), expected)
        assert place.is_there
        assert place.pixels[10:].any()


def test_what_is_kept_cannot_be_written_to(make_recipe: Any, images: Dataset) -> None:
    source = training(make_recipe("image", **{"feed.cache": ALL}), images)
    with closing(open_one(source)) as found:
        place = found.place("train", 3, (20, 24, 3))
        assert place is not None
        place.put(np.ones((20, 24, 3), np.uint8))
        pixels = place.get()
        assert pixels is not None
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0] = 0


def test_a_picture_of_another_size_than_its_index_says_is_not_kept(make_recipe: Any, tmp_path: Path) -> None:
    odd = [replace(image_sample(i % 3, i), width=25) if i == 4 else image_sample(i % 3, i) for i in range(16)]
    write_dataset(
        tmp_path / "odd", "image", ["a", "b", "c"], {"train": [write_shard(tmp_path / "odd", "train", 0, 0, odd)]}
    )
    source = training(make_recipe("image", **{"feed.cache": ALL}), open_dataset(tmp_path / "odd"))
    with closing(open_one(source)) as found:
        assert_same(batches(source), batches(without(source)))
        assert there(found) == [*range(4), *range(5, 16)]


def test_a_bad_sample_is_not_kept(make_recipe: Any, images: Dataset, damaged: Any) -> None:
    broken = damaged(images, "train", {5: lambda data: b"\0" * len(data)})
    source = training(make_recipe("image", **{"feed.cache": ALL, "data.max_bad": 0.5}), broken)
    with closing(open_one(source)) as found:
        assert_same(batches(source), batches(without(source)))
        assert there(found)
        assert 5 not in there(found)


def test_a_video_of_which_not_every_frame_can_be_decoded_is_made_as_before(make_recipe: Any, videos: Dataset) -> None:
    source = training(make_recipe("video", **{"feed.cache": ALL}), videos)
    raw = ShardReader(videos.files, "train").read(0, 0)
    with closing(open_one(source)) as found:
        maker = BatchMaker(source)
        # Eight frames are said to be there, and two of them are not.
        place = found.place("train", 0, cache.shape_of(source.recipe, raw))
        for epoch in range(4):
            made: list[Any] = []
            for given_place in (None, place):
                try:
                    made.append(maker.view_maker(raw.data, 8, epoch, 0, 0, given_place))
                except IndexError as error:
                    made.append(str(error))
            assert np.array_equal(made[0], made[1])
        assert there(found) == []


def child(places: Path, recipe: Recipe, dataset: Dataset, then: str) -> subprocess.CompletedProcess[bytes]:
    """Another process of this node: opens the same, and does `then`."""
    program = (
        "import os, pickle, signal, sys; from pathlib import Path; from pipeline.feed import cache;"
        "from pipeline.shards.dataset import open_dataset;"
        f"cache.SHARED = Path({str(places / 'memory')!r});"
        "recipe = pickle.loads(sys.stdin.buffer.read());"
        f"found = cache.opened(recipe, open_dataset(Path({str(dataset.folder)!r})), True, sys.exit);" + then
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(places / "disk")}
    return subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(recipe), env=environment, timeout=TIMEOUT_S, check=False
    )


KILLED_AMIDST = """
place = found.place('train', 2, (20, 24, 3)); place.pixels[:10] = 9
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_amidst_leaves_nothing_wrong(make_recipe: Any, images: Dataset, places: Path) -> None:
    recipe = make_recipe("image", **{"feed.cache": ALL})
    source = training(recipe, images)
    with closing(open_one(source)) as found:
        assert child(places, recipe, images, KILLED_AMIDST).returncode == -signal.SIGKILL
        place = found.place("train", 2, (20, 24, 3))
        assert place is not None
        assert (place.pixels[:10] == 9).all()  # it was the same file
        assert not place.is_there
        assert_same(batches(source), batches(without(source)))
        assert kept(places) == [found.path]
    assert kept(places) == []


def test_what_a_killed_process_leaves_is_removed_by_the_next(make_recipe: Any, images: Dataset, places: Path) -> None:
    recipe = make_recipe("image", **{"feed.cache": ALL})
    assert child(places, recipe, images, KILLED_AMIDST).returncode == -signal.SIGKILL
    (left,) = kept(places)
    other = training(make_recipe("image", **{"feed.cache": TEN}), images)
    with closing(open_one(other)) as found:
        assert kept(places) == [found.path] != [left]
    assert child(places, recipe, images, KILLED_AMIDST).returncode == -signal.SIGKILL
    assert kept(places) == [left]
    with closing(open_one(training(recipe, images))) as found:  # of the same name: begun anew
        assert found.path == left
        assert there(found) == []


def test_who_closes_last_removes_it(make_recipe: Any, images: Dataset, places: Path) -> None:
    source = training(make_recipe("image", **{"feed.cache": ALL}), images)
    one, two = open_one(source), open_one(source)
    assert one.path == two.path
    one.close()
    assert kept(places) == [two.path]
    two.close()
    assert kept(places) == []


def test_a_feed_removes_it_whatever_became_of_its_workers(make_recipe: Any, images: Dataset, places: Path) -> None:
    source = training(make_recipe("image", **{"feed.cache": ALL, "data.max_bad": 0.5}), images)
    expected = batches(without(source))
    with closing(LocalFeed(source, range(3 * source.steps), 2, TIMEOUT_S)) as feed:
        for i, ((_, arrays), batch) in enumerate(zip(expected, feed, strict=True)):
            assert np.array_equal(batch.arrays["pixels"], arrays["pixels"])
            assert len(kept(places)) == 1
            if i == 3:
                os.kill(feed.workers[0].process.pid, signal.SIGKILL)
            if i == 5:
                feed.bad[25] = "said so"
                feed.apply_bad()  # other workers
                break
        assert len(kept(places)) == 1
    assert kept(places) == []


def test_a_folder_of_others_is_left_alone(make_recipe: Any, images: Dataset, places: Path) -> None:
    folder = places / "memory" / f"zoetrope-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with closing(open_one(training(make_recipe("image", **{"feed.cache": ALL}), images))) as found:
        assert found.path.parent == places / "disk" / "feed"
        assert found.path.stat().st_mode & 0o777 == 0o600
        assert found.path.parent.stat().st_mode & 0o777 == 0o700
    assert not list(folder.iterdir())


def test_a_link_of_others_is_not_followed(make_recipe: Any, images: Dataset, places: Path) -> None:
    (places / "elsewhere").mkdir(0o700)
    (places / "memory" / f"zoetrope-{os.geteuid()}").symlink_to(places / "elsewhere")
    with closing(open_one(training(make_recipe("image", **{"feed.cache": ALL}), images))) as found:
        assert found.path.parent == places / "disk" / "feed"
    assert not list((places / "elsewhere").iterdir())


def test_where_there_is_no_room_there_is_no_cache(make_recipe: Any, tmp_path: Path, places: Path) -> None:
    vast = [replace(image_sample(i % 3, i), width=3_000_000, height=3_000_000) for i in range(16)]
    write_dataset(
        tmp_path / "x", "image", ["a", "b", "c"], {"train": [write_shard(tmp_path / "x", "train", 0, 0, vast)]}
    )
    told: list[str] = []
    source = training(make_recipe("image", **{"feed.cache": "900TB"}), open_dataset(tmp_path / "x"))
    with closing(LocalFeed(source, two_epochs(source), 0, TIMEOUT_S, say=told.append)) as feed:
        assert_same(copied(iter(feed)), batches(without(source))[: 2 * source.steps])
    (line,) = told
    assert line.startswith("feed.cache: no decoded pixels are kept, as 402331.4 GiB need 2 times as much free, and ")
    assert kept(places) == []


ON_A_TINY_DISK = """
mount -t tmpfs -o size=40k none {memory} && mkdir -p {disk} && mount -t tmpfs -o size={size}k none {disk} &&
exec {python} -c "{program}"
"""
PROGRAM = """
import os
from pathlib import Path
from pipeline.feed import cache
from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from tests.conftest import tiny_values
cache.SHARED, cache.SPARE = Path('{memory}'), {spare}
recipe = check(tiny_values('image', **{{'feed.cache': '1MB'}}), 'x')
found = cache.opened(recipe, open_dataset(Path('{data}')), True, print)
print(found and found.path.parent)
print(sorted(p.name for p in Path('{disk}').rglob('*') if p.is_file()))
"""


@pytest.mark.parametrize(
    ("size", "spare", "said"),
    [
        (200, 2, "{disk}/feed"),  # the memory is full, the disk has room
        (40, 0, "feed.cache: no decoded pixels are kept"),  # both turn out to be full
        (64, 2, "feed.cache: no decoded pixels are kept"),  # they would be
    ],
)
def test_a_disk_that_is_really_full(images: Dataset, tmp_path: Path, size: int, spare: int, said: str) -> None:
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "x", str(tmp_path)], check=False).returncode:
        pytest.skip("no file system may be mounted here")
    names = {"memory": tmp_path / "memory", "disk": tmp_path / "disk", "data": images.folder}
    program = PROGRAM.format(**names, spare=spare)
    script = ON_A_TINY_DISK.format(**names, size=size, python=sys.executable, program=program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(tmp_path / "disk")}
    run = ["unshare", "-rm", "sh", "-c", script]
    lines = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout
    first, *_, files = lines.splitlines()
    assert first.startswith(said.format(**names)), lines
    assert len(ast.literal_eval(files)) == (2 if size == 200 else 1), lines  # the other one is the lock


def hold(pipe: Any, found: Cache | None) -> None:
    """A process that was handed a file: says how many samples are there, and waits."""
    assert found is not None
    pipe.send(int(found.there.sum()))
    pipe.recv()


def test_it_is_handed_to_a_process_with_its_lock(make_recipe: Any, images: Dataset, places: Path) -> None:
    found = open_one(training(make_recipe("image", **{"feed.cache": ALL}), images))
    found.there[:3] = 1
    process, pipe = processes.start(hold, found)
    try:
        assert pipe.recv() == 3
        os.close(found.descriptor)
        del found  # this process has let go of it
        with cache._alone() as folders:
            cache._sweep(folders)
        assert len(kept(places)) == 1
    finally:
        process.kill()
        process.join()
    with cache._alone() as folders:
        cache._sweep(folders)
    assert kept(places) == []
