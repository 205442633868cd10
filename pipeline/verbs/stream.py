"""The verb `stream`: a causal TSM on a file, a camera or a network stream, frame by frame."""

import json
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageDraw
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.decode.live import Newest, Scaler, Source, due, open_source
from pipeline.exported.formats import FILES
from pipeline.exported.steps import Answers, Causal, open_causal
from pipeline.figures.fonts import drawable, drawing_font
from pipeline.training.find_model import find_model, typed

TIMES = 1000
"""Of the newest steps, kept for the median and the 95th percentile."""
CLOCK = 90_000
"""Ticks a second of the video that is written."""


@dataclass(frozen=True)
class Wanted:
    """How to look at a source.

    every: frames of the source from one step to the next; None: as the clips of the training
    rate:  frames a second that the training's videos had; None: as many as the source has
    live:  take a file at the speed at which it plays, and leave out what comes too late, as of a camera
    """

    every: int | None = None
    rate: float | None = None
    live: bool = False
    out: Path | None = None
    as_json: bool = False


@dataclass(frozen=True)
class Answered:
    """What is said of the frame at `time_s`: the best class, its score, and the seconds that the step took."""

    time_s: float
    label: str
    score: float
    took_s: float


@dataclass
class Tally:
    """What a stream came to. It does not grow with the stream."""

    steps: int = 0
    dropped: int = 0
    took_s: deque[float] = field(default_factory=lambda: deque(maxlen=TIMES))

    @property
    def words(self) -> str:
        """Say it in a line."""
        if not self.steps:
            return "No frame came."
        newest = f" of the newest {len(self.took_s):,}" if self.steps > len(self.took_s) else ""
        middle = statistics.median(self.took_s) * 1e3
        late = float(np.percentile(list(self.took_s), 95)) * 1e3
        left_out = f"; {self.dropped:,} frames came while it was busy and were left out" if self.dropped else ""
        return (
            f"{self.steps:,} frames, median{newest} {middle:.1f} ms a frame, 95th percentile {late:.1f} ms{left_out}."
        )


def stream(console: Console, named: str, source: str, wanted: Wanted) -> Tally:
    """Say what a model sees in a source until it ends; ZoetropeError when either is not to be had."""
    folder = Path(named).expanduser()
    causal = open_causal(folder if (folder / FILES["onnx"]).is_file() else find_model(typed(named)))
    opened = open_source(source)
    step_s, words = spacing(causal, opened, wanted)
    if not wanted.as_json:
        console.print(words, markup=False)
    tally, last = Tally(), ""
    with ExitStack() as stack:
        stack.callback(opened.container.close)
        writer = stack.enter_context(closing(Writer(wanted.out))) if wanted.out else None
        try:
            for each in answers(causal, opened, step_s, wanted.live, tally, writer):
                if wanted.as_json:
                    said = {"time_s": round(each.time_s, 3), "label": each.label, "score": round(each.score, 6)}
                    line = json.dumps({**said, "ms": round(each.took_s * 1e3, 2)}, ensure_ascii=False)
                    print(line, file=console.file, flush=True)
                elif each.label != last:
                    last = each.label
                    ms = f"{each.took_s * 1e3:.1f} ms"
                    console.print(f"{each.time_s:8.2f} s  {each.label}  {each.score:.1%}  {ms}", markup=False)
        finally:
            if not wanted.as_json:
                console.print(tally.words, markup=False)
    return tally


def spacing(causal: Causal, source: Source, wanted: Wanted) -> tuple[Fraction, str]:
    """Return the seconds from one step to the next, and what is said of them.

    ZoetropeError when they do not follow from the training.
    """
    if wanted.every is None and causal.sampling != "dense":
        raise ZoetropeError(
            "the model was trained on frames drawn evenly over whole videos (clip.sampling: segments), so that there "
            "is no stride to keep: give one, such as --every 2, or train with clip.sampling: dense"
        )
    every = wanted.every or causal.stride
    rate = Fraction(wanted.rate).limit_denominator(1000) if wanted.rate else source.rate
    step_s = every / rate
    assumed = "" if wanted.rate else ", as if the training's videos had as many (else give --rate)"
    trained = f"clips of the training had {causal.frames} frames"
    trained += f", stride {causal.stride}" if causal.sampling == "dense" else " of whole videos"
    return step_s, (
        f"Looks at every {_nth(every)} of {float(rate):g} frames a second{assumed}: {float(1 / step_s):.3g} a second. "
        f"The {trained}; an answer is the mean over as many."
    )


def answers(
    causal: Causal, source: Source, step_s: Fraction, live: bool, tally: Tally, writer: "Writer | None" = None
) -> Iterator[Answered]:
    """Yield an answer a frame that is due; nothing is kept but the model's caches and the newest answers."""
    scale, answer = Scaler(causal.short_side), Answers(causal.frames)
    frames: Iterator[tuple[float, VideoFrame]] = due(source.frames(), step_s)
    newest = Newest(frames if source.live else played(frames)) if live or source.live else None
    try:
        for time_s, frame in newest or frames:
            start = time.perf_counter()
            stored = scale(frame)
            scores = answer(causal.step(causal.pixels(stored)))
            took_s = time.perf_counter() - start
            best = int(scores.argmax())
            tally.steps += 1
            tally.took_s.append(took_s)
            tally.dropped = newest.dropped if newest else 0
            answered = Answered(time_s, causal.classes[best], float(scores[best]), took_s)
            if writer:
                writer(stored, answered)
            yield answered
    finally:
        if newest:
            newest.close()


def played(frames: Iterator[tuple[float, VideoFrame]]) -> Iterator[tuple[float, VideoFrame]]:
    """Yield frames of a file no sooner than when they would be shown."""
    start = time.monotonic()
    for time_s, frame in frames:
        time.sleep(max(0.0, start + time_s - time.monotonic()))
        yield time_s, frame


class Writer:
    """A video of what the model looked at, each frame with the answer above it; whole at any moment that it is ended.

    ZoetropeError when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() != ".mp4":
            raise ZoetropeError(f"--out {path}: write a name that ends in .mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Fragments can be played when the last one is missing.
            self._container = av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"})
        except (OSError, av.error.FFmpegError) as error:
            raise ZoetropeError(f"--out {path}: cannot be written: {error.strerror}") from error
        self._stream: VideoStream | None = None

    def __call__(self, pixels: npt.NDArray[np.uint8], answered: Answered) -> None:
        """Add a frame uint8 [H, W, 3]."""
        picture = _annotated(pixels, answered)
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=25)
            self._stream.width, self._stream.height = picture.width, picture.height
            self._stream.pix_fmt, self._stream.options = "yuv420p", {"tune": "zerolatency"}
            self._stream.codec_context.time_base = Fraction(1, CLOCK)
            self._stream.codec_context.gop_size = 50
        frame = VideoFrame.from_image(picture.resize((self._stream.width, self._stream.height)))
        frame.pts, frame.time_base = round(answered.time_s * CLOCK), Fraction(1, CLOCK)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left, and end the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


def _annotated(pixels: npt.NDArray[np.uint8], answered: Answered) -> Image.Image:
    """Draw a frame, at least 240 px wide, with its answer above it."""
    picture = Image.fromarray(pixels)
    factor = max(1, -(-240 // picture.width))
    picture = picture.resize(
        (picture.width * factor // 2 * 2, picture.height * factor // 2 * 2), Image.Resampling.NEAREST
    )
    words = drawable(f"{answered.label}  {answered.score:.0%}  {answered.took_s * 1e3:.0f} ms")
    font = drawing_font(words, max(14, picture.width // 24))
    bar = (sum(font.getmetrics()) + 6) // 2 * 2
    sheet = Image.new("RGB", (picture.width, picture.height + bar), "white")
    sheet.paste(picture, (0, bar))
    ImageDraw.Draw(sheet).text((4, 2), words, fill="black", font=font)
    return sheet


def _nth(number: int) -> str:
    """Say 1 as "one", 2 as "2nd", and so on.

    >>> _nth(1), _nth(2), _nth(11), _nth(23)
    ('one', '2nd', '11th', '23rd')
    """
    if number == 1:
        return "one"
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
