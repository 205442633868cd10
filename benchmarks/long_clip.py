"""What one clip of a minute costs TimeSformer-L: seconds and memory to decode, to classify and to train on it.

    python -m benchmarks.long_clip VIDEO [SECONDS]

VIDEO is brought to so many seconds (60 by default) by repeating it, stored and seen as recipes/timesformer-minutes.yaml
says: 96 frames of 224 px over the whole of it. Memory is what each step held at its peak above what was held before.
"""

import sys
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import av
import torch
from torch.nn import functional

import models
from benchmarks.pairs import peak_bytes
from pipeline.exported.sight import Sight
from pipeline.recipe import load
from pipeline.training.step import Normalize

RECIPE = Path(__file__).parents[1] / "recipes" / "timesformer-minutes.yaml"
RATE = 25
CLASSES = 400
Answer = TypeVar("Answer")


def repeated(video: Path, seconds: int, to: Path) -> None:
    """Write the frames of `video` again and again as H.264 of 25 frames a second."""
    with av.open(str(video)) as source:
        frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    with av.open(str(to), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height = frames[0].shape[1] // 2 * 2, frames[0].shape[0] // 2 * 2
        stream.pix_fmt = "yuv420p"
        for number in range(seconds * RATE):
            frame = av.VideoFrame.from_ndarray(frames[number % len(frames)])
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def main(video: str, seconds: str = "60") -> None:
    """Print a line a step."""
    recipe = load(RECIPE)
    sight, normalize = Sight(recipe), Normalize.of(recipe, torch.device("cpu"))
    with TemporaryDirectory() as folder:
        repeated(Path(video), int(seconds), path := Path(folder) / "long.mp4")
        content = path.read_bytes()
    print(f"{int(seconds) * RATE:,} frames, {len(content) / 1e6:.1f} MB; {torch.get_num_threads()} threads")
    pixels = told("store, decode, crop", lambda: sight(content).pixels)
    x = normalize(pixels)
    options = recipe.model.model_dump(exclude={"kind", "weights"})
    for checkpointing in (False, True):
        options["gradient_checkpointing"] = checkpointing
        model = models.build(recipe.model.kind, CLASSES, **options)
        if not checkpointing:
            model.eval()
            with torch.inference_mode():
                told(f"classify {tuple(x.shape)}", partial(model, x))
    told("train, activations computed again", lambda: functional.cross_entropy(model(x), torch.tensor([0])).backward())


def told(what: str, work: Callable[[], Answer]) -> Answer:
    """Print the seconds of the clock and the peak of memory that `work` needs, the second time."""
    answers, seconds = [], []

    def timed() -> None:
        answers.clear()
        start = time.perf_counter()
        answers.append(work())
        seconds.append(time.perf_counter() - start)

    peak = peak_bytes(timed)
    print(f"{what:40} {seconds[-1]:7.1f} s {peak / 1e9:6.2f} GB", flush=True)
    return answers[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
