"""A task with a mask, from a source to a report, in a house that was not told of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.local import LocalFeed
from pipeline.feed.ring import new_arrays
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.stages import ingest, shard
from pipeline.stages.measure import Trained, merged, predict_part, sample_names
from pipeline.store import Artifact
from pipeline.tasks import task_of
from pipeline.tasks.base import Tally
from pipeline.training import checkpoint
from pipeline.training.distributed import Process
from pipeline.training.first_batch import first_states
from pipeline.training.learner import Learner
from pipeline.training.objective import Objective
from pipeline.training.step import Normalize, train_step
from tests.conftest import ROOT, stages_here
from tests.pipeline.stages.alone import a_context
from tests.pipeline.tasks.toy import IGNORED, Source, a_recipe, known, net
from tests.pipeline.tasks.toy_training import STEPS, Interrupted, trained

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer")  # a test's task is in no recipe's schema
MIXED: dict[str, Any] = {**STEPS, "mixing": {"kind": "cutmix"}, "train.mix_group": 2}


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Pictures and masks that went through ingest and shard."""
    folder, recipe = tmp_path_factory.mktemp("blocks"), a_recipe()
    (folder / "data").mkdir()
    with stages_here(), known(Source(folder / "data")):
        first = a_context(recipe, folder / "ingest")
        facts = ingest.run(first)
        second = a_context(recipe, folder / "shard", ingest=Artifact(first.out, {"facts": facts}))
        assert shard.run(second)["quarantined"] == 0
    return open_dataset(second.out)


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with known():
        yield


def weights(folder: Path, step: int = 8) -> torch.Tensor:
    """All of a checkpoint."""
    state = checkpoint.final_weights(checkpoint.read(folder / str(step)))
    return torch.cat([value.flatten() for value in state.values()])


def test_masks_go_through_the_transforms_with_their_pictures(blocks: Dataset) -> None:
    source = BatchSource(a_recipe(), blocks, "train", training=True)
    arrays = new_arrays(source.layout())
    BatchMaker(source).make(0, 0, arrays)
    assert arrays["mask"].shape == (6, 16, 16)
    bright = arrays["pixels"][:, 0].min(-1) >= 110
    for mask, block in zip(arrays["mask"], bright, strict=True):
        assert np.array_equal(mask[mask != IGNORED] == 1, block[mask != IGNORED])
    assert set(np.unique(arrays["mask"])) == {0, 1, IGNORED}
    assert "frame" not in arrays


@pytest.mark.parametrize("workers", [0, 1])
def test_an_evaluation_sees_every_picture_once_as_large_as_it_is(blocks: Dataset, workers: int) -> None:
    source = BatchSource(a_recipe(**{"evaluate.batch_size": 4}), blocks, "train")
    seen, shapes = [], []
    with closing(LocalFeed(source, range(source.steps), workers, 60.0)) as feed:
        for batch in feed:
            pixels, mask = batch.arrays["pixels"][:, 0], batch.arrays["mask"]
            assert mask.shape == pixels.shape[:3]
            assert np.array_equal(mask[mask != IGNORED] == 1, pixels.min(-1)[mask != IGNORED] >= 110)
            assert (batch.arrays["frame"] == np.eye(2, 3)).all()  # pictures as they are
            shapes.append(batch.arrays["pixels"].shape)
            seen += batch.arrays["sample"].tolist()
    assert sorted(seen) == list(range(22))
    # ascending sizes: 5 of 22 x 28 px, 17 of 24 x 20 px
    assert [shape[0] for shape in shapes] == [4, 1, 4, 4, 4, 4, 1]
    assert {shape[2:4] for shape in shapes} == {(22, 28), (24, 20)}


def test_one_by_one_where_sizes_differ_and_nothing_is_said(blocks: Dataset) -> None:
    assert BatchSource(a_recipe(), blocks, "val").walk.batch_size == 1
    same = a_recipe(**{"augment.eval": [{"CenterCrop": {"height": 20, "width": 20}}]})
    assert BatchSource(same, blocks, "val").walk.batch_size == 6


@pytest.mark.slow
def test_micro_batches_and_processes_change_nothing(blocks: Dataset, tmp_path: Path) -> None:
    for name, changes in (("whole", {}), ("parts", {"train.micro_batch": 2})):
        trained(a_recipe(**MIXED, **changes), blocks, tmp_path / name, Process())
    two = tmp_path / "two"
    two.mkdir()
    command = [sys.executable, "-m", "tests.pipeline.tasks.toy_training"]
    ranks = [
        subprocess.Popen([*command, str(rank), "2", str(blocks.folder), str(two)], cwd=ROOT, env={**os.environ})
        for rank in range(2)
    ]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    whole, parts, both = (weights(tmp_path / name) for name in ("whole", "parts", "two"))
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("micro_batch", [None, 1, 4])
def test_each_part_of_the_loss_is_divided_by_its_own_count(blocks: Dataset, micro_batch: int | None) -> None:
    """Cross-entropy by all pixels of the batch that count, which lie unevenly in its samples; Dice by its samples."""
    recipe = a_recipe(**{"train.micro_batch": micro_batch})
    source = BatchSource(recipe, blocks, "train", training=True)
    arrays = new_arrays(source.layout())
    BatchMaker(source).make(0, 0, arrays)
    counted = (arrays["mask"] != IGNORED).sum((1, 2))
    assert counted.max() > 1.1 * counted.min()
    torch.manual_seed(0)
    model, normalize, cpu = net(2), Normalize.of(recipe, torch.device("cpu")), Process()
    out, fields = model(normalize(arrays["pixels"][:, 0])), {"mask": torch.from_numpy(arrays["mask"])}
    parts = source.task.losses(model, out, fields, torch.ones(6), None)
    loss = functional.cross_entropy(out, fields["mask"].long(), ignore_index=IGNORED) + parts["dice"] / 6
    expected = torch.autograd.grad(loss, list(model.parameters()))

    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=1.0), torch.amp.GradScaler("cpu", enabled=False)
    learner = Learner(model, optimizer, scaler, ema=None, stopping=None)
    sums = train_step(model, learner, arrays, 6, (0, 0), normalize, Objective(recipe, source.task), cpu)
    for old, new, gradient in zip(before, model.parameters(), expected, strict=True):
        torch.testing.assert_close(old - new.detach(), gradient, rtol=1e-4, atol=1e-6)
    assert source.task.metrics(Tally(sums.numpy()))["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_a_training_goes_on_in_mid_epoch(blocks: Dataset, tmp_path: Path) -> None:
    recipe = a_recipe(**MIXED)
    assert BatchSource(recipe, blocks, "train", training=True).place(5) == (1, 2)
    metrics = trained(recipe, blocks, tmp_path / "whole", Process())
    with pytest.raises(Interrupted):
        trained(recipe, blocks, tmp_path / "parts", Process(), stop=True)
    assert trained(recipe, blocks, tmp_path / "parts", Process(), resume=tmp_path / "parts" / "5") == metrics
    assert torch.equal(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_it_learns_and_is_reported_whatever_the_ranks(blocks: Dataset, tmp_path: Path) -> None:
    recipe = a_recipe(**{"train.duration": "60ep", "train.checkpoint": "60ep", "train.evaluate": "60ep"})
    metrics = trained(recipe, blocks, tmp_path, Process())
    assert metrics["val/iou"] > 0.9
    steps = BatchSource(recipe, blocks, "train", training=True).steps
    save_file(checkpoint.final_weights(checkpoint.read(tmp_path / str(60 * steps))), tmp_path / "weights.safetensors")
    task = task_of(recipe, blocks.classes)
    tallies = []
    for world in (1, 2):
        parts = [
            predict_part([Trained(recipe, tmp_path / "weights.safetensors")], blocks, rank, world)
            for rank in range(world)
        ]
        samples, tally = merged(parts)
        assert samples.tolist() == list(range(6))
        tallies.append(tally)
    assert all(np.array_equal(tallies[0].rows[name], tallies[1].rows[name]) for name in tallies[0].rows)
    found = task.metrics(tallies[0])
    assert found == pytest.approx({name.removeprefix("val/"): value for name, value in metrics.items()})
    (tmp_path / "figures").mkdir()
    task.report(tmp_path, sample_names(blocks, samples), tallies[0])
    assert len((tmp_path / "shares.csv").read_text().splitlines()) == 7


def test_masks_of_several_models_are_averaged(blocks: Dataset, tmp_path: Path) -> None:
    """Of one size each; the toy's row is the mean over the pixels, so that of the mean is the mean."""
    recipe, models = a_recipe(), []
    for seed in range(2):
        torch.manual_seed(seed)
        save_file(net(2).state_dict(), tmp_path / f"{seed}.safetensors")
        models.append(Trained(recipe, tmp_path / f"{seed}.safetensors"))
    first, second, both = (predict_part(of, blocks).tally.rows["share"] for of in (models[:1], models[1:], models))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)


def test_a_preview_shows_what_rides(blocks: Dataset) -> None:
    for states in first_states(a_recipe(**MIXED), blocks):
        stored, augmented, mixed = states
        assert stored[1].endswith("px: block")
        assert augmented[0].shape == mixed[0].shape == (16, 16, 3)
        assert not (augmented[0].min(-1) >= 110).all()
