"""Both sides of the benchmark do the same work."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.train_overhead import SKIPPED, Marks, bare, by_data_loader, by_our_feed
from pipeline.feed.batch import BatchSource
from pipeline.shards.dataset import Dataset
from pipeline.training import checkpoint
from pipeline.training.distributed import Process
from pipeline.training.loop import train


def test_the_bare_loop_trains_the_same_weights(make_recipe: Any, videos: Dataset, tmp_path: Path) -> None:
    recipe = make_recipe("video", **{"train.duration": "7ep", "loss": {"label_smoothing": 0.1}})
    marks = Marks(lambda *_: None)

    def on_points(done: int, total: int, metrics: dict[str, float]) -> None:
        marks(done, total, "")

    def on_checkpoint(step: int, state: checkpoint.State, metrics: dict[str, float]) -> None:
        state.save(tmp_path)

    train(recipe, videos, Process(), on_points, on_checkpoint)
    model, bare_marks = bare(recipe, videos, Process(), by_our_feed)
    trained = checkpoint.read(tmp_path)["model"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-3, atol=1e-4)
    for one in (marks, bare_marks):
        assert {SKIPPED, 21} <= one.at.keys()
        assert one.rate(8).clock > 0


def test_the_data_loader_gives_the_same_batches(make_recipe: Any, videos: Dataset) -> None:
    source = BatchSource(make_recipe("video", **{"feed.workers": 1}), videos, "train", training=True)
    for ours, theirs in zip(by_our_feed(source, 4), by_data_loader(source, 4), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
