"""Stored optical flow against the known motion of clips; what it costs the shard stage, the store and the feed.

    python -m benchmarks.flow FOLDER [--clips 240] [--turns 3] [--seconds 5] [--only error,stage,feed]

FOLDER holds train/ and val/, a folder a class in each, and flow.json: "clips" -> a path -> "step", the 2x3 matrix that
takes (x, y, 1) of a frame to the next one, the middle of the first pixel being (0, 0). So the flow is known exactly.

Error: mean end-point errors in px, of all pixels and of those 8 px or more inside, after each step on the way into a
batch: as computed, quantised, coded, cropped, and mirrored. What a step adds is its distance from what was computed.

Stage: transcoding and flow, on all cores, against loops of one process that read, transcode, compute flow with OpenCV,
quantise and encode; OpenCV has one thread, or as many as it likes. Wanted on two cores: 1.7. See
`benchmarks.shard_throughput` for how it is timed. Feed: training clips a second with flow beside frames, alone, and
without.
"""

import argparse
import io
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console

from augment import flow as fields_of
from benchmarks.feed_clips import feed_rates
from benchmarks.pairs import in_turns
from benchmarks.shard_throughput import Timed, ingested, report, run_stage
from pipeline.decode.flow import compute_flow, levels, read_flow, vectors
from pipeline.decode.transcode import Transcoded, transcode
from pipeline.feed.batch import BatchSource
from pipeline.recipe import Recipe, check
from pipeline.shards.dataset import open_dataset

LIMIT_PX, GOP, CRF, INSIDE_PX = 20.0, 12, 16, 8
CROP = (16, 8, 80, 96)
"""Top, left, height and width."""
CRFS = (0, 8, 12, 16, 20)
FIELDS = 5


def known_flow(step: np.ndarray, height: int, width: int) -> np.ndarray:
    """The flow [2, H, W] that a matrix [2, 3] gives."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return step @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1) - np.stack([x, y]).reshape(2, -1)


def computed(video: Transcoded) -> np.ndarray:
    """The flow before anything is rounded, [F, 2, H, W]."""
    with av.open(io.BytesIO(video.data)) as container:
        grey = [np.ascontiguousarray(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    pairs = pairwise(grey)
    return np.stack([method.calc(*pair, None) for pair in pairs]).transpose(0, 3, 1, 2)  # type: ignore[call-overload]  # cv2's hints


def errors(found: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Mean end-point errors of fields [F, 2, H, W], of all px and inside."""
    each = np.hypot(*np.moveaxis(found - right, 1, 0))
    return float(each.mean()), float(each[:, INSIDE_PX:-INSIDE_PX, INSIDE_PX:-INSIDE_PX].mean())


def steps_of(video: Transcoded, step: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """For each step: both errors, and the mean distance from what was computed, moved likewise."""
    right = known_flow(step, video.height, video.width).reshape(1, 2, video.height, video.width)
    raw = computed(video)
    quantised = levels(raw, LIMIT_PX)
    coded = read_flow(compute_flow(video, LIMIT_PX, GOP, CRF), np.arange(len(raw)))
    top, left, height, width = CROP
    inside = np.s_[:, :, top : top + height, left : left + width]
    shift = np.array([[1, 0, -left], [0, 1, -top]])
    mirror = np.array([[-1, 0, width + left], [0, 1, -top]])
    signs = np.array([-1, 1])[:, None, None]
    ways = {
        "computed": (raw, right, raw),
        "quantised": (vectors(quantised, LIMIT_PX), right, raw),
        "coded": (vectors(coded, LIMIT_PX), right, raw),
        "cropped": (vectors(fields_of.move(coded, shift, (height, width)), LIMIT_PX), right[inside], raw[inside]),
        "mirrored": (
            vectors(fields_of.move(coded, mirror, (height, width)), LIMIT_PX),
            signs * right[inside][..., ::-1],
            signs * raw[inside][..., ::-1],
        ),
    }
    return {name: (*errors(found, true), errors(found, before)[0]) for name, (found, true, before) in ways.items()}


def bench_error(folder: Path, files: Sequence[Path]) -> None:
    """A line a step, and the bytes of a clip."""
    motions = json.loads((folder / "flow.json").read_text())["clips"]
    rows: dict[str, list[tuple[float, float, float]]] = {}
    sizes: dict[str, list[int]] = {}
    for file in files:
        video = transcode(file, 256, GOP, 20)
        step = np.array(motions[file.relative_to(folder).as_posix()]["step"])
        for name, row in steps_of(video, step).items():
            rows.setdefault(name, []).append(row)
        sizes.setdefault("video", []).append(len(video.data))
        for crf in CRFS:
            sizes.setdefault(f"flow, crf {crf}", []).append(len(compute_flow(video, LIMIT_PX, GOP, crf)))
    print(f"{len(files)} clips\n{'mean end-point error, px':26}{'all':>8}{'inside':>8}{'from computed':>15}")
    for name, found in rows.items():
        print(f"{name:26}{''.join(f'{value:{n}.3f}' for value, n in zip(np.mean(found, 0), (8, 8, 15), strict=True))}")
    print("\n".join(f"{name:26}{statistics.mean(found):10,.0f} bytes a clip" for name, found in sizes.items()))


def a_recipe(flow: bool, fields: int | None = None, model: str = "tsn_resnet18") -> Recipe:
    """Shards of 16 clips; with flow where it is asked for."""
    values = {
        "name": "flow",
        "task": {"kind": "video-classification"},
        "data": {"source": {"kind": "folder", "path": "unused"}},
        "shard": {"samples": 16, **({"flow": {"method": "dis", "limit_px": LIMIT_PX}} if flow else {})},
        "clip": {"frames": 8, **({"flow": fields} if fields else {})},
        "model": {"kind": model},
        "augment": {
            "train": [{"RandomCrop": {"height": 96, "width": 96}}, {"HorizontalFlip": {}}],
            "eval": [{"CenterCrop": {"height": 96, "width": 96}}],
        },
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 16},
    }
    return check(values, "the benchmark's recipe")


@contextmanager
def threads(number: int) -> Iterator[None]:
    """OpenCV's, meanwhile; -1 leaves their number to it."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(number)
    yield
    cv2.setNumThreads(before)


def loop(files: Sequence[Path], number: int, folder: Path) -> None:
    """The peer: every clip transcoded, its flow computed, quantised and encoded, one after the other."""
    options = {"preset": "veryfast", "tune": "fastdecode", "g": str(GOP), "bf": "0"}
    with threads(number):
        method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        for i, path in enumerate(files):
            made, grey = folder / f"{i}.mp4", []
            with av.open(str(path)) as source:
                frames = list(source.decode(video=0))
                _write(made, frames, "yuv420p", {**options, "crf": "20"})
            with av.open(str(made)) as stored:
                grey = [np.ascontiguousarray(frame.to_ndarray(format="gray")) for frame in stored.decode(video=0)]
            pictures = []
            for before, after in pairwise(grey):
                found = levels(method.calc(before, after, None), LIMIT_PX)  # type: ignore[call-overload]  # cv2's hints
                picture = np.concatenate([found[..., 0], found[..., 1]])
                pictures.append(av.VideoFrame.from_ndarray(picture, format="gray"))
            _write(folder / f"{i}.flow.mp4", pictures, "gray", {**options, "crf": str(CRF)})


def _write(path: Path, frames: Sequence[av.VideoFrame], pixels: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=15, options=options)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, pixels
        stream.codec_context.thread_count = 1
        for i, frame in enumerate(frames):
            frame.pts, frame.time_base, frame.pict_type = i, Fraction(1, 15), 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def bench_stage(files: Sequence[Path], folder: Path, turns: int) -> None:
    """With flow against both loops, and without it."""
    source = ingested(folder / "ingest", files)
    ways: dict[str, Callable[[Path], Any]] = {
        "stage": partial(run_stage, a_recipe(flow=True), source),
        "stage without flow": partial(run_stage, a_recipe(flow=False), source),
        "loop, one thread": partial(loop, files, 1),
        "loop, OpenCV's threads": partial(loop, files, -1),
    }
    report(
        f"{len(files)} clips", {"clips": len(files)}, in_turns({n: Timed(w, folder) for n, w in ways.items()}, turns)
    )


def bench_feed(files: Sequence[Path], folder: Path, turns: int, seconds: float) -> None:
    """Clips a second of the whole feed, two worker processes."""
    source = ingested(folder / "ingest", files)
    run_stage(a_recipe(flow=True), source, folder)
    dataset = open_dataset(folder / "out")
    recipes = {
        "frames": a_recipe(flow=True),
        "frames and 1 field": a_recipe(True, 1, "two_stream_tsn_resnet18"),
        f"frames and {FIELDS} fields": a_recipe(True, FIELDS, "two_stream_tsn_resnet18"),
        f"{FIELDS} fields alone": a_recipe(True, FIELDS),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in recipes}
    for _ in range(turns):
        for name, recipe in recipes.items():
            found[name].append(feed_rates(BatchSource(recipe, dataset, "train", training=True), 2, seconds))
    print(f"\n{'the feed':26}{'clips/s':>9}{'a CPU second':>14}{'of frames':>11}")
    medians = {name: np.median(rates, 0) for name, rates in found.items()}
    for name, (clock, processor) in medians.items():
        print(f"{name:26}{clock:9.1f}{processor:14.1f}{processor / medians['frames'][1]:11.2f}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", default="error,stage,feed")
    asked = parser.parse_args()
    files = [path for split in ("val", "train") for path in sorted((asked.folder / split).glob("*/*.mp4"))]
    files = files[: asked.clips]
    if "error" in asked.only.split(","):
        bench_error(asked.folder, files)
    if {"stage", "feed"}.isdisjoint(asked.only.split(",")):
        return
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  Ray's own spelling
    from pipeline.verbs.driver import ray_cluster

    with tempfile.TemporaryDirectory() as name, ray_cluster(a_recipe(flow=True), Console()):
        for part in ("stage", "feed"):
            (Path(name) / part).mkdir()
        if "stage" in asked.only:
            bench_stage(files, Path(name) / "stage", asked.turns)
        if "feed" in asked.only:
            bench_feed(files, Path(name) / "feed", asked.turns, asked.seconds)


if __name__ == "__main__":
    main()
