"""A causal TSM on streams: files, the ONNX file with its caches, what is dropped, and what is refused in words."""

import json
import socket
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.decode.live import Newest, due, open_source
from pipeline.decode.transcode import encode
from pipeline.exported.predictor import Predictor
from pipeline.exported.steps import Answers, open_causal
from pipeline.verbs.export import Asked, export
from pipeline.verbs.stream import Tally, Wanted, answers, spacing, stream
from tests.pipeline.verbs.test_attention import exported

MODEL = {"kind": "tsm_resnet18", "width": 8, "direction": "past"}
CLIP = {"frames": 4, "sampling": "dense", "stride": 1}


@pytest.fixture
def model(make_recipe: Any, tmp_path: Path) -> Path:
    """An exported causal TSM that nobody trained."""
    folder = tmp_path / "model"
    folder.mkdir()
    return exported(lambda kind, model: make_recipe(kind, model=model, clip=CLIP), folder, MODEL)


def noise(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 32, 40, 3), np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode(noise(12), 25, crf=0))
    return path


def test_equals_the_offline_model(model: Path) -> None:
    """Over the first clip, on the same pixels; and behind it, the newest steps count alone."""
    causal, predictor, answer = open_causal(model, "cpu"), Predictor(model, "cpu"), Answers(4)
    seen = [causal.pixels(frame) for frame in noise(9)]
    scores = [answer(causal.step(pixels)) for pixels in seen]
    offline = predictor.infer(np.stack(seen[:4])[None, None])["scores"][0]
    assert np.abs(scores[3] - offline.numpy()).max() < 1e-5
    assert scores[0].sum() == pytest.approx(1)
    assert len(answer.kept) == 4


@pytest.mark.slow
def test_the_onnx_file_with_its_caches_says_the_same(model: Path, tmp_path: Path, video: Path) -> None:
    for preprocess in (False, True):
        out = tmp_path / f"onnx-{preprocess}"
        asked = Asked(online=True, preprocess=preprocess, samples=(video,))
        export(Console(quiet=True), str(model), out, asked)
        ours, theirs = open_causal(model, "cpu"), open_causal(out)
        assert ours.classes == theirs.classes
        for frame in noise(6, seed=1):
            pixels = ours.pixels(frame)
            assert np.array_equal(pixels, theirs.pixels(frame))
            step = theirs.step(pixels)
            assert np.abs(ours.step(pixels) - step).max() < 1e-4


def test_a_file_is_said_frame_by_frame(model: Path, video: Path, tmp_path: Path, capsys: Any) -> None:
    console = Console(width=200)
    out = tmp_path / "answers" / "clip.mp4"
    stream(console, str(model), str(video), Wanted(out=out))
    said = capsys.readouterr().out
    assert (
        "Looks at every one of 25 frames a second, as if the training's videos had as many (else give --rate)" in said
    )
    assert "clips of the training had 4 frames, stride 1" in said
    assert "12 frames, median" in said
    assert "left out" not in said
    with av.open(str(out)) as written:
        assert len(list(written.decode(video=0))) == 12

    stream(console, str(model), str(video), Wanted(every=3, rate=50, as_json=True))
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["time_s"] for row in rows] == [0.0, 0.08, 0.12, 0.2, 0.24, 0.32, 0.36, 0.44]
    assert {row["label"] for row in rows} <= {"run", "sit"}


def test_frames_are_due_at_the_rate_of_the_training() -> None:
    """Also of a source that is slower, or that leaves out frames."""
    frame: Any = object()
    times = [0, 1 / 30, 2 / 30, 3 / 30, 9 / 30, 10 / 30, 11 / 30]
    found = [round(time_s * 30) for time_s, _ in due(iter([(time_s, frame) for time_s in times]), Fraction(2, 30))]
    assert found == [0, 2, 9, 10]


def test_the_newest_frame_is_taken_and_the_late_ones_counted() -> None:
    taken, passed = threading.Event(), threading.Event()

    def frames() -> Any:
        for number in range(100):
            yield float(number), number
            if number == 0:
                taken.wait(60)
        passed.set()

    newest = Newest(frames())
    came: Any = iter(newest)
    first = next(came)
    taken.set()
    passed.wait(60)
    rest = list(came)
    assert first == (0.0, 0)
    assert rest[-1] == (99.0, 99)
    assert newest.dropped == 100 - 1 - len(rest)
    assert newest.dropped > 0


def test_a_source_that_breaks_off_is_told() -> None:
    def frames() -> Any:
        yield 0.0, 0
        raise ZoetropeError("the stream broke off behind frame 1")

    with pytest.raises(ZoetropeError, match="broke off behind frame 1"):
        list(Newest(frames()))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing.mp4", "nothing.mp4.*There is|nothing.mp4"),
        ("77", "camera 77 cannot be opened"),
        ("concat:a.mp4|b.mp4", "cannot be opened|no MP4|There|no file"),
        ("file:///etc/passwd", "a stream begins with one of rtsp"),
        ("http://127.0.0.1:PORT/a.mp4", "cannot be opened: .*URL such as rtsp"),
    ],
)
def test_a_source_that_is_none_is_refused_in_words(source: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ZoetropeError, match=said):
        open_source(source.replace("PORT", str(port)))


def test_a_model_that_cannot_is_refused_in_words(make_recipe: Any, model: Path, video: Path, tmp_path: Path) -> None:
    for name, options in {"both": {**MODEL, "direction": "both"}, "tsn": {"kind": "tsn_resnet18", "width": 8}}.items():
        (tmp_path / name).mkdir()
        other = exported(make_recipe, tmp_path / name, options)
        with pytest.raises(ZoetropeError, match="only a TSM with direction='past' can run online"):
            open_causal(other, "cpu")
    (tmp_path / "segments").mkdir()
    other = exported(make_recipe, tmp_path / "segments", MODEL)
    causal, source = open_causal(other, "cpu"), open_source(str(video))
    with pytest.raises(ZoetropeError, match="there is no stride to keep: give one, such as --every 2"):
        spacing(causal, source, Wanted())
    assert spacing(causal, source, Wanted(every=2))[0] == Fraction(2, 25)
    out = tmp_path / "offline"
    out.mkdir()
    (out / "model.onnx").touch()
    (out / "preprocessing.json").write_text('{"caches": [], "short_side": 24}')
    with pytest.raises(ZoetropeError, match=r"no model that answers frame by frame; write it by .* --online"):
        open_causal(out)
    with pytest.raises(ZoetropeError, match=r"write a name that ends in .mp4"):
        stream(Console(quiet=True), str(model), str(video), Wanted(out=tmp_path / "a.avi"))


@pytest.mark.slow
def test_an_hour_takes_no_more_memory_than_a_minute(model: Path) -> None:
    """At a frame a second, as quickly as they can be had."""
    import tracemalloc

    causal, tally = open_causal(model, "cpu"), Tally()
    frame = av.VideoFrame.from_ndarray(noise(1)[0], format="rgb24")

    class Hour:
        rate, live = Fraction(1), False

        def frames(self) -> Any:
            return ((float(number), frame) for number in range(3600))

    torch.set_num_threads(1)
    said = answers(causal, Hour(), Fraction(1), False, tally)  # type: ignore[arg-type]  # all that is read of one
    tracemalloc.start()
    try:
        for _ in range(300):
            next(said)
        before = tracemalloc.get_traced_memory()[0]
        for _ in said:
            pass
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert tally.steps == 3600
    assert after - before < 200_000
