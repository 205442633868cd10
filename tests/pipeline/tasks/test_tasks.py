"""One contract for every task, over a table of all."""

import csv
import json
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.mixing.base import Draw
from augment.mixing.batch import Drawn
from augment.rides import Companions, View, unmoved
from pipeline.decode.objects import read_objects
from pipeline.feed.ring import new_arrays
from pipeline.recipe.bodies import Body, skeleton_of
from pipeline.recipe.restoring import Degrade
from pipeline.recipe.tasks import SECTIONS
from pipeline.shards.reader import RawSample
from pipeline.tasks import TASKS
from pipeline.tasks.base import Arrays, Fields, Inputs, Tally, Task, result_words
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection import Detection
from pipeline.tasks.instances import Instances
from pipeline.tasks.instances.fields import drawn
from pipeline.tasks.keypoints import KeyPoints
from pipeline.tasks.keypoints.fields import riding
from pipeline.tasks.keypoints.maps import affinity_fields, heat_maps
from pipeline.tasks.multilabel import Multilabel
from pipeline.tasks.restoration import Restoration
from pipeline.tasks.segmentation import Segmentation
from tests.pipeline.tasks.toy import IGNORED, Blocks

CLASSES = ("cat", "dog", "eel")
SIZE = (8, 12)
N = 5


@dataclass
class Case:
    """A task, five samples of it, and the outputs of a model that knows them."""

    task: Task
    samples: list[RawSample]
    perfect: Callable[[Fields], Any]
    views: Sequence[View | None] = (None,) * N
    model: nn.Module = field(default_factory=nn.Identity)

    def arrays(self, garbage: int = 0) -> dict[str, np.ndarray]:
        """The fields of the samples, put where something else was."""
        layout = {name: (dtype, (N, *shape)) for name, (dtype, shape) in self.task.layout(*SIZE).items()}
        arrays = new_arrays(layout)
        for array in arrays.values():
            array[:] = garbage
        for i, raw in enumerate(self.samples):
            self.task.put(arrays, i, raw, self.views[i])
        return arrays

    def fields(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(array) for name, array in self.arrays().items()}


def raw(label: int | tuple[int, ...]) -> RawSample:
    return RawSample(memoryview(b""), "jpg", label, "0", SIZE[1], SIZE[0], 1)


def objects(i: int) -> bytes:
    """Objects of sample i, of which the first is half the size of the picture."""
    boxes, kinds = [[0, 0, 6, 8], [7, 1, 10 + i % 3, 5]], [i % 3, (i + 1) % 3]
    return json.dumps({"size": SIZE[::-1], "boxes": boxes[: i % 2 + 1], "classes": kinds[: i % 2 + 1]}).encode()


class Places(nn.Module):
    """A detector whose outputs are boxes, scores and classes themselves."""

    def counts(self, fields: Fields, size: tuple[int, ...]) -> dict[str, Tensor]:
        return {"place": (fields["kind"] >= 0).sum(1).float()}

    def losses(self, heads: Fields, fields: Fields) -> dict[str, Tensor]:
        there = (fields["kind"] >= 0).float()
        away = (heads["boxes"] - fields["boxes"]).square().sum(2) + (1 - heads["score"]).square()
        return {"place": (away * there).sum(1)}

    def decode(self, heads: Fields, size: tuple[int, ...], most: int) -> Fields:
        return dict(heads)


def found(fields: Fields) -> dict[str, Tensor]:
    """What a perfect detector says."""
    score = (fields["kind"] >= 0) * 0.9
    said = {"boxes": fields["boxes"].clone(), "score": score, "kind": fields["kind"].long(), "said": score > 0.5}
    return said | {"loss.place": torch.zeros(len(score))}


BODY = skeleton_of(
    Body(joints=["head", "left_hand", "right_hand"], limbs=[("head", "left_hand"), ("head", "right_hand")])
)
POSES = KeyPoints(("person",), BODY, sigma_px=1, limb_px=1, stride=1, most_objects=2)


def bodies(i: int) -> bytes:
    """One or two bodies of sample i."""
    joints = [[3.5, 1.5, 2, 0.5, 6.5, 2, 5.5, 5.5, 1], [9.5, 1.5, 2, 10.5, 5.5, 2, 8.5, 6.5, 2]][: i % 2 + 1]
    said = {"boxes": [[0, 0, 6, 8], [7, 1, 12, 7]][: i % 2 + 1], "classes": [0] * len(joints), "keypoints": joints}
    return json.dumps({"size": SIZE[::-1], **said}).encode()


def maps(fields: Fields) -> dict[str, Tensor]:
    """What a perfect model of key points says."""
    fields_of = affinity_fields(fields["keypoints"], BODY.limbs, SIZE, 1, 1)
    return {"heat": heat_maps(fields["keypoints"], SIZE, 1, 1)[:, None], "limbs": fields_of[:, None]}


def outlined(i: int) -> bytes:
    """The same objects, each with the whole of its box as its mask."""
    said = json.loads(objects(i))
    said["outlines"] = [[[x0, y0, x1, y0, x1, y1, x0, y1]] for x0, y0, x1, y1 in said["boxes"]]
    return json.dumps(said).encode()


def outlined_view(i: int) -> View:
    """What becomes of a picture with them that nothing changes."""
    known = read_objects(outlined(i))
    companions = Companions(boxes=known.boxes, mask=drawn(known, *SIZE))
    return unmoved(np.zeros((*SIZE, 3), np.uint8), companions)


def found_with_masks(fields: Fields) -> dict[str, Tensor]:
    """What a perfect detector of instances says: boxes that are full."""
    return found(fields) | {"masks": torch.ones(*fields["kind"].shape, 28, 28)}


def block(i: int) -> np.ndarray:
    """A mask."""
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 8] = IGNORED
    mask[1 : 4 + i, i : 2 * i + 3] = 1
    return mask


def picture(i: int) -> np.ndarray:
    """A target, twice as large as the sample."""
    return np.random.default_rng(i).integers(0, 256, (2 * SIZE[0], 2 * SIZE[1], 3), np.uint8)


def normalized(target: Tensor) -> Tensor:
    """Pixels as a model gives them, by the mean and standard deviation of the case."""
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.25])
    return ((target / 255 - mean) / std).movedim(-1, 1)


CASES: dict[str, Case] = {
    "classification": Case(
        Classification(CLASSES),
        [raw(label) for label in (2, 0, 1, 0, 2)],
        lambda fields: 40.0 * functional.one_hot(fields["label"], 3) - 20,
    ),
    "multilabel": Case(
        Multilabel(CLASSES),
        [raw(label) for label in ((0, 2), (), (1,), (0, 1, 2), (0,))],
        lambda fields: 30.0 * fields["hot"] - 15,
    ),
    "segmentation": Case(
        Segmentation(CLASSES, {"cross_entropy": 1.0, "dice": 0.5}),
        [raw(()) for _ in range(N)],
        lambda fields: 30.0 * torch.stack([fields["mask"] == k for k in range(3)], 1) - 15,
        [View(np.zeros((*SIZE, 3), np.uint8), mask=np.where(block(i) == 1, i % 3, block(i))) for i in range(N)],
    ),
    "segmentation with borders": Case(
        Segmentation(CLASSES, border=True),
        [raw(()) for _ in range(N)],
        lambda fields: 30.0 * torch.stack([fields["mask"] == k for k in range(3)], 1) - 15,
        [View(np.zeros((*SIZE, 3), np.uint8), mask=block(i).astype(np.uint16) + 256 * (5 * i)) for i in range(N)],
    ),
    "detection": Case(
        Detection(CLASSES, most_objects=2),
        [replace(raw(()), members={"objects.json": memoryview(objects(i))}) for i in range(N)],
        found,
        [unmoved(np.zeros((*SIZE, 3), np.uint8), Companions(boxes=read_objects(objects(i)).boxes)) for i in range(N)],
        Places(),
    ),
    "keypoints": Case(
        POSES,
        [replace(raw(()), members={"objects.json": memoryview(bodies(i))}) for i in range(N)],
        maps,
        [
            unmoved(np.zeros((*SIZE, 3), np.uint8), Companions(keypoints=riding(read_objects(bodies(i)), 3, SIZE)))
            for i in range(N)
        ],
    ),
    "instances": Case(
        Instances(CLASSES, most_objects=2),
        [replace(raw(()), members={"objects.json": memoryview(outlined(i))}) for i in range(N)],
        found_with_masks,
        [outlined_view(i) for i in range(N)],
        Places(),
    ),
    "restoration": Case(
        Restoration((), 2, Degrade(), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25)),
        [raw(()) for _ in range(N)],
        lambda fields: normalized(fields["target"]),
        [View(np.zeros((*SIZE, 3), np.uint8), target=picture(i)) for i in range(N)],
    ),
    "blocks": Case(
        Blocks(("beside", "block")),
        [raw(()) for _ in range(N)],
        lambda fields: 30.0 * torch.stack([fields["mask"] != 1, fields["mask"] == 1], 1) - 15,
        [View(np.zeros((*SIZE, 3), np.uint8), mask=block(i)) for i in range(N)],
    ),
}
"""The last one is the tests' own."""


def test_every_kind_of_a_recipe_has_its_task_and_every_task_is_in_the_table() -> None:
    assert SECTIONS.keys() == TASKS.keys()
    assert {kind.rpartition("-")[2] for kind in TASKS} == {name for name in CASES if " " not in name} - {"blocks"}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def tally_of(case: Case, out: Any, rows: slice = slice(None), training: bool = False) -> Tally:
    """What is measured of some of the samples, whose outputs are `out`."""
    fields = {name: field[rows] for name, field in case.fields().items()}
    answer = case.task.answer(each(out, lambda column: column[rows]))
    sums = case.task.sums(answer, fields, torch.ones(N)[rows], training).numpy()
    return Tally(sums, {name: column.numpy() for name, column in case.task.rows(answer, fields).items()})


def each(out: Any, change: Callable[[Tensor], Any]) -> Any:
    """Change outputs, which are one tensor or several by name."""
    return {name: change(column) for name, column in out.items()} if isinstance(out, dict) else change(out)


def guesses(case: Case, seed: int = 0) -> Any:
    """Outputs of a model that knows nothing."""
    rng = torch.Generator().manual_seed(seed)
    known = case.perfect(case.fields())
    draw = torch.rand if isinstance(known, dict) else torch.randn
    made = each(known, lambda out: draw(out.shape, generator=rng) if out.is_floating_point() else out)
    return (
        made | {"said": (made["score"] >= 0.5) & (made["kind"] >= 0)}
        if isinstance(made, dict) and "score" in made
        else made
    )


def test_put_fills_the_layout_whatever_was_there(case: Case) -> None:
    first, second = case.arrays(0), case.arrays(7)
    assert first.keys() == case.task.layout(*SIZE).keys()
    assert not first.keys() & {"pixels", "sample", "weight"}
    for name, (dtype, shape) in case.task.layout(*SIZE).items():
        assert (first[name].dtype, first[name].shape) == (dtype, (N, *shape))
        assert np.array_equal(first[name], second[name])


def test_a_perfect_answer_scores_best(case: Case) -> None:
    task, perfect = case.task, case.perfect(case.fields())
    best, guessed = (task.metrics(tally_of(case, out)) for out in (perfect, guesses(case)))
    assert best.keys() == guessed.keys() <= task.measures.keys()
    assert best[task.headline.metric] > guessed[task.headline.metric]
    assert best["loss"] < guessed["loss"]
    assert result_words(task, best).startswith(f"{task.headline.title} ")
    certain = task.certainty(tally_of(case, perfect).rows)
    assert certain.shape == (N,)
    assert (certain >= task.certainty(tally_of(case, guesses(case)).rows)).all()


def test_the_loss_is_parts_that_a_model_learns_from(case: Case) -> None:
    task, fields, weights = case.task, case.fields(), torch.ones(N)
    perfect, out = (task.losses(case.model, o, fields, weights, None) for o in (case.perfect(fields), guesses(case)))
    assert perfect.keys() == out.keys()
    assert sum(part.item() for part in perfect.values()) < sum(part.item() for part in out.values())
    counts = task.count(case.model, SIZE, fields, weights)
    assert counts.keys() <= out.keys()
    assert all(float(count) >= 1 for count in counts.values())
    learned = each(guesses(case), lambda out: out.requires_grad_() if out.is_floating_point() else out)
    weights[1] = 0
    torch.stack([*task.losses(case.model, learned, fields, weights, None).values()]).sum().backward()
    heads = [out for out in (learned.values() if isinstance(learned, dict) else [learned]) if out.requires_grad]
    moved = torch.stack([head.grad.reshape(N, -1).abs().sum(1) for head in heads if head.grad is not None]).sum(0)
    assert moved[1] == 0
    assert (moved[[0, 2, 3, 4]] > 0).all()


@pytest.mark.parametrize("cuts", [(1,), (2, 3), (1, 2, 3, 4)])
def test_tallies_of_any_cut_merge_to_that_of_the_whole(case: Case, cuts: tuple[int, ...]) -> None:
    out = guesses(case)
    whole = tally_of(case, out)
    parts = [tally_of(case, out, slice(a, b)) for a, b in zip((0, *cuts), (*cuts, N), strict=True)]
    np.testing.assert_allclose(sum(part.sums for part in parts), whole.sums, rtol=1e-12)
    for name, column in whole.rows.items():
        assert np.array_equal(np.concatenate([part.rows[name] for part in parts]), column)
    assert whole.sums.dtype == np.float64
    assert whole.sums[-1] == N


def test_the_sums_of_training_suffice(case: Case) -> None:
    task, out = case.task, guesses(case)
    measured, logged = (task.metrics(tally_of(case, out, training=training)) for training in (False, True))
    assert {"loss"} <= {*task.in_training} <= logged.keys() & measured.keys()
    for name in task.in_training:
        assert logged[name] == pytest.approx(measured[name], rel=1e-12)


def test_a_sample_of_weight_zero_is_not_measured(case: Case) -> None:
    out, fields, weights = guesses(case), case.fields(), torch.ones(N)
    weights[-1] = 0
    sums = case.task.sums(case.task.answer(out), fields, weights)
    np.testing.assert_allclose(sums.numpy(), tally_of(case, out, slice(N - 1)).sums, rtol=1e-12)


def test_mixing_with_oneself_changes_nothing(case: Case) -> None:
    fields, out = case.fields(), guesses(case)
    alone = Drawn(((slice(0, N), Draw()),), torch.arange(N)[:, None], torch.ones(N, 1))
    losses = [
        case.task.losses(case.model, out, f, torch.ones(N), None) for f in (fields, case.task.mixed(fields, alone))
    ]
    for name, part in losses[0].items():
        torch.testing.assert_close(losses[1][name], part)


def test_views_are_answered_as_one(case: Case) -> None:
    """Three equal views of each sample say what one says."""

    class Known:
        how, model = None, case.model

        def parts(self, n: int) -> Any:
            return (slice(i, i + 2) for i in range(0, n, 2))

        def inputs(self, arrays: Arrays) -> Inputs:
            return {"pixels": torch.from_numpy(arrays["pixels"]).movedim(-1, 1)}

        def __call__(self, inputs: Inputs) -> Any:
            return each(guesses(case), lambda out: out[inputs["pixels"][:, 0, 0, 0].long()])

    pixels = np.arange(N, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 3, *SIZE, 3), np.uint8)
    answer, expected = case.task.infer(Known(), {"pixels": pixels}), case.task.answer(guesses(case))
    assert answer.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(answer[name], value)


def test_it_says_and_draws_what_it_means(case: Case, tmp_path: Path) -> None:
    task, out, pixels = case.task, case.perfect(case.fields()), np.zeros((*SIZE, 3), np.uint8)
    tally = tally_of(case, out)
    for i in range(N):
        truth = task.truth(pixels, {name: array[i] for name, array in case.arrays().items()})
        said = task.compared(pixels, {name: column[i] for name, column in tally.rows.items()})
        assert truth.pixels.shape[-1] == said.pixels.shape[-1] == 3
        assert (truth.right, said.right) == (None, True)
        assert truth.words
        assert truth.words in said.words
    frame = torch.eye(2, 3)
    apart = [{name: value[i : i + 1] for name, value in task.answer(out).items()} for i in range(N)]
    placed = [{n: value[0].numpy() for n, value in task.restored(one, frame, SIZE).items()} for one in apart]
    for one in placed:
        assert task.row(one).keys() == task.table().keys() == task.columns.keys()
        assert task.row(one, top=2).keys() == task.table(2).keys() == (task.columns | task.ranked).keys()
        assert {name for name, kind in task.columns.items() if kind == "binary"} == task.suffixes.keys()
        drawing = task.drawn(pixels, one)
        assert (drawing.words, drawing.right) == (task.words(one), None)
        assert drawing.pixels.shape[0] * SIZE[1] == drawing.pixels.shape[1] * SIZE[0]  # perhaps enlarged
        assert drawing.words
    (tmp_path / "figures").mkdir()
    exact = task.report(tmp_path, [str(i) for i in range(N)], tally)
    unsaid = {"top5"}  # of so few classes
    assert exact.keys() | task.metrics(tally).keys() | unsaid == task.measures.keys() | unsaid
    assert list(tmp_path.glob("*.csv"))
    assert list(tmp_path.glob("figures/*.png"))


def test_it_travels(case: Case) -> None:
    assert pickle.loads(pickle.dumps(case.task)) == case.task  # noqa: S301 (what was pickled here)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_a_report_of_very_many_classes_has_no_table_of_all_pairs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.figures.figures.save", lambda figure, path: None)  # is slow while memory is traced
    num_classes, n = 22_000, 60
    classes = tuple(f"c{i}" for i in range(num_classes))
    task: Task = Classification(classes) if kind == "classification" else Multilabel(classes)
    arrays = new_arrays({name: (dtype, (n, *shape)) for name, (dtype, shape) in task.layout(*SIZE).items()})
    scores = np.full((n, num_classes), 1e-5, np.float32)
    for i in range(n):
        task.put(arrays, i, raw(100 * i), None)
        scores[i, 100 * (i // 2)] = 0.75
    tracemalloc.start()
    try:
        task.report(tmp_path, [str(i) for i in range(n)], Tally(np.zeros(0), {**arrays, "scores": scores}))
        assert tracemalloc.get_traced_memory()[1] < 150 << 20  # a table of all pairs has 4 GB
    finally:
        tracemalloc.stop()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.csv")) < 1 << 20
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert list(csv.reader(file))[4] == ["3", "c300", "c100", "0.7500"]


def test_a_task_loads_neither_torch_nor_matplotlib_until_it_computes() -> None:
    code = "import sys, pipeline.tasks; print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    root = str(Path(__file__).parents[3])
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert made.stdout.strip() == "[]"
