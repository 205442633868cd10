"""Mixing in a training: the same for any number of ranks and any micro-batch, from a recipe to a trained model."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.mixing.mixup import mixup
from pipeline.base.keyed import generator
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.shards.order import rank_slice
from pipeline.shards.writer import StoredSample, write_dataset, write_shard
from pipeline.tasks import task_of
from pipeline.training.checkpoint import final_weights, read
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from pipeline.training.objective import Objective
from pipeline.training.step import Normalize
from tests.conftest import COLOURS, image_sample

CPU = torch.device("cpu")
CLASSES = tuple(COLOURS)
WAYS: dict[str, dict[str, Any]] = {
    "mixup": {"kind": "mixup", "alpha": 1.0},
    "cutmix": {"kind": "cutmix"},
    "ricap": {"kind": "ricap"},
    "sample_pairing": {"kind": "sample_pairing"},
    "choose": {
        "kind": "choose",
        "of": [{"kind": kind, "probability": 0.3} for kind in ("mixup", "cutmix", "ricap")],
    },
}


def mixed(objective: Objective, x: torch.Tensor, labels: torch.Tensor, *place: int) -> tuple[Any, Any]:
    """Pixels and targets after mixing."""
    epoch, k, first_group = place
    drawn = objective.draw(len(x), x.shape[-2:], (epoch, k), first_group, CPU)
    assert drawn is not None
    return drawn.apply(x), objective.task.mixed({"label": labels}, drawn)["label"]


def mixed_part(recipe: Any, dataset: Any, k: int, rank: int, world: int, size: int) -> tuple[Any, Any]:
    """A rank's pixels and targets after mixing, in micro-batches of `size`."""
    source = BatchSource(recipe, dataset, "train", rank, world, training=True)
    arrays = new_arrays(source.layout())
    count, samples = BatchMaker(source).make(1, k, arrays)
    mine = rank_slice(samples, recipe.mix_group, rank, world)
    assert arrays["weight"][:count].sum() == mine.stop - mine.start
    normalize, objective = Normalize.of(recipe, CPU), Objective(recipe, task_of(recipe, CLASSES))
    parts = [
        mixed(
            objective,
            normalize(arrays["pixels"][a : min(b, count), 0]),
            torch.from_numpy(arrays["label"][a : min(b, count)]),
            1,
            k,
            (mine.start + a) // recipe.mix_group,
        )
        for a, b in pairwise(range(0, count + size, size))
    ]
    kept = slice(0, mine.stop - mine.start)  # without what only fills up a rank
    return torch.cat([part[0] for part in parts])[kept], torch.cat([part[1] for part in parts])[kept]


@pytest.mark.parametrize("modality", ["image", "video"])
@pytest.mark.parametrize("way", WAYS)
def test_the_mixed_batch_depends_on_neither_ranks_nor_micro_batches(
    make_recipe: Any, request: pytest.FixtureRequest, modality: str, way: str
) -> None:
    dataset = request.getfixturevalue(modality + "s")
    changes = {"mixing": WAYS[way], "train.batch_size": 22, "train.mix_group": 4, "train.keep_last": True}
    recipe = make_recipe(modality, **changes)
    for k in (0, 1):  # 22 samples in 6 groups, of which the last is smaller; and 4 that are left, in one group
        x, targets = mixed_part(recipe, dataset, k, 0, 1, 100)
        assert len(x) == (22, 4)[k]
        for world, size in ((1, 4), (2, 4), (3, 8), (5, 100)):
            parts = [mixed_part(recipe, dataset, k, rank, world, size) for rank in range(world)]
            assert torch.equal(torch.cat([part[0] for part in parts]), x)
            assert torch.equal(torch.cat([part[1] for part in parts]), targets)


def test_a_known_mixup(make_recipe: Any) -> None:
    recipe = make_recipe("image", seed=7, mixing={"kind": "mixup", "alpha": 0.5}, **{"train.mix_group": 3})
    x, labels = torch.rand(5, 3, 4, 4), torch.tensor([0, 1, 2, 2, 1])
    found, targets = mixed(Objective(recipe, task_of(recipe, CLASSES)), x, labels, 4, 9, 10)
    for group, part in ((10, slice(0, 3)), (11, slice(3, 5))):
        rng = generator(7, "mix", 4, 9, group)
        size = part.stop - part.start
        shift, lam = int(rng.integers(1, size)), float(rng.beta(0.5, 0.5))
        assert torch.equal(found[part], mixup(x[part], shift, lam))
        for i in range(size):
            expected = np.zeros(3)
            expected[labels[part][i]] += lam
            expected[labels[part][(i + shift) % size]] += 1 - lam
            assert targets[part][i].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_nothing_is_mixed_unless_it_is_asked_for(make_recipe: Any) -> None:
    recipe = make_recipe("image")
    assert Objective(recipe, task_of(recipe, CLASSES)).draw(5, (4, 4), (0, 0), 0, CPU) is None


NOTHING: dict[str, dict[str, Any]] = {
    "mixup": {"kind": "mixup", "alpha": 0.0},
    "cutmix": {"kind": "cutmix", "alpha": 0.0},
    "ricap": {"kind": "ricap", "beta": 0.0},
    "choose": {
        "kind": "choose",
        "of": [{"kind": kind, "alpha": 0, "probability": 0.5} for kind in ("mixup", "cutmix")],
    },
}


def losses_and_weights(recipe: Any, dataset: Any, folder: Path) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The loss of every step that was told, and what the training made."""
    losses: list[float] = []
    train(
        recipe,
        dataset,
        Process(),
        lambda step, total, found: losses.extend(value for name, value in found.items() if "loss" in name),
        lambda step, state, metrics: state.save(folder),
    )
    return losses, final_weights(read(folder))


@pytest.mark.parametrize("way", NOTHING)
def test_alpha_0_trains_bit_for_bit_as_without_mixing(make_recipe: Any, images: Any, tmp_path: Path, way: str) -> None:
    changes = {"train.duration": "1ep", "train.mix_group": 4, "loss.label_smoothing": 0.1}
    unmixed, weights = losses_and_weights(make_recipe("image", **changes), images, tmp_path)
    losses, same = losses_and_weights(make_recipe("image", mixing=NOTHING[way], **changes), images, tmp_path)
    assert losses == unmixed
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    mixed, other = losses_and_weights(make_recipe("image", mixing=WAYS[way], **changes), images, tmp_path)
    assert mixed != unmixed
    assert not all(torch.equal(weights[name], other[name]) for name in weights)


def test_a_probability_leaves_groups_as_they_are(make_recipe: Any) -> None:
    mixing = {"kind": "mixup", "alpha": 1.0, "probability": 0.25}
    recipe = make_recipe("image", mixing=mixing, **{"train.mix_group": 2})
    x = torch.arange(800.0).reshape(800, 1, 1, 1)
    found, _ = mixed(Objective(recipe, task_of(recipe, CLASSES)), x, torch.zeros(800, dtype=torch.int64), 0, 0, 0)
    share = (found != x).reshape(400, 2).all(1).float().mean()
    assert share.item() == pytest.approx(0.25, abs=0.06)


def test_an_auxiliary_head_adds_its_share(make_recipe: Any) -> None:
    """Two classes, logits 0 and 0: ln 2; of the auxiliary head ln(1 + e^-2). The second sample does not count."""
    recipe = make_recipe("image", loss={"auxiliary": 0.3})
    objective = Objective(recipe, task_of(recipe, CLASSES[:2]))
    x, labels, weights = torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]), torch.tensor([1.0, 0.0])
    head, other = torch.zeros(2, 2), torch.tensor([[1.0, -1.0], [5.0, 5.0]])
    for out, expected in ((head, 0.693147), ((head, other), 0.693147 + 0.3 * 0.126928)):
        parts = objective.losses(torch.nn.Identity(), out, {"pixels": x}, {"label": labels}, weights)
        assert {name: part.item() for name, part in parts.items()} == pytest.approx({"loss": expected}, abs=1e-6)


def test_a_training_with_an_auxiliary_head(make_recipe: Any, images: Any) -> None:
    saved: list[dict[str, Any]] = []
    model = {"kind": "resnet18", "width": 8, "stem": "small", "auxiliary_head": True}
    metrics = train(
        make_recipe("image", model=model, **{"train.duration": "2ep"}),
        images,
        Process(),
        lambda step, total, found: None,
        lambda step, save, metrics: saved.append({"step": step}),
    )
    assert np.isfinite(metrics["val/loss"])
    assert saved


@pytest.mark.parametrize("modality", ["image", "video"])
@pytest.mark.parametrize("way", WAYS)
def test_a_whole_training(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, modality: str, way: str
) -> None:
    points: dict[int, dict[str, float]] = {}

    def on_checkpoint(step: int, state: Any, metrics: dict[str, float]) -> None: ...

    epochs = 10 if modality == "image" else 1
    changes = {"train.duration": f"{epochs}ep", "train.evaluate": "10ep", "loss.label_smoothing": 0.1}
    recipe = make_recipe(modality, mixing=WAYS[way], **changes)
    metrics = train(
        recipe,
        request.getfixturevalue(modality + "s"),
        Process(),
        lambda step, total, found: points.setdefault(step, {}).update(found),
        on_checkpoint,
    )
    assert all(np.isfinite(list(point.values())).all() for point in points.values())
    assert 0 <= points[3 * epochs]["train/top1"] <= 1
    assert metrics["val/top1"] > (0.5 if modality == "image" else 0)


def test_a_whole_multi_label_training_with_all_of_it(make_recipe: Any, tmp_path: Path) -> None:
    def sample(label: int, seed: int) -> StoredSample:
        labels = tuple(sorted({label, seed % 3}))
        names = tuple(list(COLOURS)[i] for i in labels)
        return replace(image_sample(label, seed), label=labels, class_name=names)

    shards = {
        split: [write_shard(tmp_path / "data", split, 0, 0, [sample(i % 3, first + i) for i in range(count)])]
        for split, count, first in (("train", 24, 100), ("val", 6, 201))
    }
    dataset = write_dataset(tmp_path / "data", "image", list(COLOURS), shards, label_sets=True)
    changes: dict[str, Any] = {
        "task.kind": "image-multilabel",
        "mixing": WAYS["choose"],
        "loss": {"label_smoothing": 0.1, "class_weights": "balanced"},
        "train.repeats": 2,
        "train.duration": "6ep",
        "train.evaluate": "6ep",
    }
    losses: list[float] = []
    train(
        make_recipe("image", **changes),
        dataset,
        Process(),
        lambda step, total, found: losses.extend([found["train/loss"]] if "train/loss" in found else []),
        lambda step, save, metrics: None,
    )
    assert losses[-1] < losses[0]
