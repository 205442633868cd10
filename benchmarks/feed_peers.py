"""The feeds that `feed_images` compares: each yields uint8 (or float) batches of 224 px crops of the same JPEGs.

All decode, cut a random 224 px crop and mirror half of the pictures, in `workers` processes (SPDL: threads).
"""

import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import cv2
import numpy as np

BATCH, CROP = 64, 224
Batches = Iterator[Any]


def decode_crop_flip(data: bytes, rng: np.random.Generator) -> np.ndarray:
    """uint8 [224, 224, 3]: the least work with cv2."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    y, x = rng.integers(pixels.shape[0] - CROP + 1), rng.integers(pixels.shape[1] - CROP + 1)
    crop = cv2.cvtColor(pixels[y : y + CROP, x : x + CROP], cv2.COLOR_BGR2RGB)
    return cv2.flip(crop, 1) if rng.random() < 0.5 else crop


def floor(folder: Path, workers: int) -> Batches:
    """One process with the files in memory; its rate times the cores is what all others are held against."""
    cv2.setNumThreads(0)
    files = [path.read_bytes() for path in sorted((folder / "files").iterdir())]
    rng = np.random.default_rng(0)
    batch = np.empty((BATCH, CROP, CROP, 3), np.uint8)
    for first in count(0, BATCH):
        for i in range(BATCH):
            batch[i] = decode_crop_flip(files[(first + i) % len(files)], rng)
        yield batch


def ours(folder: Path, workers: int) -> Batches:
    """Zoetrope's feed of whole training batches."""
    from benchmarks.feed_pictures import source
    from pipeline.feed.local import LocalFeed

    made = source(folder)
    for batch in LocalFeed(made, range(made.steps * 1000), workers, 120.0):
        yield batch.arrays["pixels"]


def ours_cached(folder: Path, workers: int, cache: str = "1GiB") -> Batches:
    """The same from the second epoch on, where decoded pictures are kept."""
    from benchmarks.feed_pictures import source
    from pipeline.feed.local import LocalFeed

    made = source(folder, cache)
    for step, batch in enumerate(LocalFeed(made, range(made.steps * 1000), workers, 120.0)):
        if step >= made.steps:
            yield batch.arrays["pixels"]


def ours_half_cached(folder: Path, workers: int) -> Batches:
    """The same where every second picture has a place."""
    return ours_cached(folder, workers, "256MiB")


def _one_thread(_: int = 0) -> None:
    cv2.setNumThreads(0)


def _loader(dataset: Any, workers: int, batch: int | None = BATCH) -> Batches:
    import torch

    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(
        dataset, batch, num_workers=workers, worker_init_fn=_one_thread, persistent_workers=True
    )
    while True:
        yield from loader


def _webdataset(folder: Path, workers: int, decode: Callable[[dict[str, Any]], Any]) -> Batches:
    import webdataset

    tars = [str(path) for path in sorted((folder / "dataset" / "train").glob("*.tar"))]
    shuffled = webdataset.WebDataset(tars, shardshuffle=len(tars), empty_check=False).shuffle(1000).repeat()
    for (batch,) in _loader(shuffled.map(lambda sample: (decode(sample),)).batched(BATCH), workers, None):
        yield batch


class PlainDecode:
    """PIL, albumentations' crop, flip and Normalize, float32 CHW: what tutorials write."""

    def __init__(self) -> None:
        import albumentations as A

        self.transform = A.Compose([A.RandomCrop(CROP, CROP), A.HorizontalFlip(), A.Normalize()])

    def __call__(self, sample: dict[str, Any]) -> Any:
        import io

        import torch
        from PIL import Image

        pixels = np.asarray(Image.open(io.BytesIO(sample["jpg"])).convert("RGB"))
        return torch.from_numpy(self.transform(image=pixels)["image"]).permute(2, 0, 1).contiguous()


def webdataset_plain(folder: Path, workers: int) -> Batches:
    """webdataset + PIL + albumentations + Normalize + DataLoader."""
    return _webdataset(folder, workers, PlainDecode())


def webdataset_cv2(folder: Path, workers: int) -> Batches:
    """webdataset + DataLoader with the floor's decoding, uint8."""
    rng = np.random.default_rng(0)
    return _webdataset(folder, workers, lambda sample: decode_crop_flip(sample["jpg"], rng))


def mosaicml_streaming(folder: Path, workers: int) -> Batches:
    """MosaicML Streaming with the floor's decoding, uint8."""
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
        # It imports them for its ready-made datasets.
        stub = MagicMock(__spec__=ModuleSpec(name, None), __path__=[], VisionDataset=type("VisionDataset", (), {}))
        sys.modules.setdefault(name, stub)
    from streaming import MDSWriter, StreamingDataset

    if not (folder / "mds").exists():
        with MDSWriter(out=str(folder / "mds"), columns={"jpg": "bytes"}) as writer:
            for path in sorted((folder / "files").iterdir()):
                writer.write({"jpg": path.read_bytes()})

    class Pictures(StreamingDataset):
        def __getitem__(self, i: int) -> Any:
            return decode_crop_flip(
                super().__getitem__(i)["jpg"], self.__dict__.setdefault("rng", np.random.default_rng(0))
            )

    return _loader(Pictures(local=str(folder / "mds"), shuffle=True, batch_size=BATCH), workers)


def litdata(folder: Path, workers: int) -> Batches:
    """LitData with the floor's decoding, uint8."""
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming.writer import BinaryWriter

    if not (folder / "lit").exists():
        writer = BinaryWriter(str(folder / "lit"), chunk_bytes="8MB")
        for i, path in enumerate(sorted((folder / "files").iterdir())):
            writer[i] = path.read_bytes()
        writer.done()
        writer.merge()

    class Pictures(StreamingDataset):
        def __getitem__(self, i: Any) -> Any:
            return decode_crop_flip(super().__getitem__(i), self.__dict__.setdefault("rng", np.random.default_rng(0)))

    loader = StreamingDataLoader(
        Pictures(str(folder / "lit"), shuffle=True), batch_size=BATCH, num_workers=workers, persistent_workers=True
    )
    while True:
        yield from loader


def spdl(folder: Path, workers: int) -> Batches:
    """SPDL's pipeline of threads with the floor's decoding; its own decoder asks for FFmpeg's shared libraries."""
    from spdl.pipeline import PipelineBuilder

    cv2.setNumThreads(0)
    files = [path.read_bytes() for path in sorted((folder / "files").iterdir())]
    endless = (files[i % len(files)] for i in count())
    rng = np.random.default_rng(0)
    builder = PipelineBuilder().add_source(endless)
    builder.pipe(lambda data: decode_crop_flip(data, rng), concurrency=workers).aggregate(BATCH).pipe(np.stack)
    pipeline = builder.add_sink(4).build(num_threads=workers + 1)
    with pipeline.auto_stop():
        yield from pipeline.get_iterator(timeout=60)


def ray_data(folder: Path, workers: int) -> Batches:
    """Ray Data `read_webdataset` with the floor's decoding in `map`."""
    import logging

    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    tars = [str(path) for path in sorted((folder / "dataset" / "train").glob("*.tar"))]

    def decode(row: dict[str, Any]) -> dict[str, Any]:
        cv2.setNumThreads(0)
        return {"pixels": decode_crop_flip(row["jpg"], np.random.default_rng())}

    while True:
        dataset = ray.data.read_webdataset(tars, decoder=None, shuffle="files").map(decode)
        for batch in dataset.iter_batches(batch_size=BATCH, batch_format="numpy"):
            yield batch["pixels"]


FEEDS: dict[str, Callable[[Path, int], Batches]] = {
    "floor": floor,
    "ours": ours,
    "ours, all kept": ours_cached,
    "ours, half kept": ours_half_cached,
    "webdataset, plain": webdataset_plain,
    "webdataset, cv2": webdataset_cv2,
    "MosaicML Streaming": mosaicml_streaming,
    "LitData": litdata,
    "SPDL": spdl,
    "Ray Data": ray_data,
}
