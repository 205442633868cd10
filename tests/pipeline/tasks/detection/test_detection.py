import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from augment.mixing.base import Draw
from augment.mixing.batch import Drawn
from augment.rides import unmoved
from models.ssd_loss import match, ssd_losses
from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.recipe.combos import cross_problems
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of
from pipeline.tasks.base import Tally, Task
from pipeline.tasks.detection import Detection
from pipeline.training.distributed import Process
from pipeline.training.loop import evaluate
from pipeline.training.step import Normalize, Running
from tests.conftest import tiny_values
from tests.pipeline.tasks.detection.boxed import HEIGHT, WIDTH, write_boxed


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_boxed(tmp_path_factory.mktemp("boxed"))


def values(**changes: Any) -> dict[str, Any]:
    source = {"kind": "coco", "path": "/nowhere", "annotations": "/nowhere.json"}
    return tiny_values(
        "image",
        **{
            "task": {"kind": "detection"},
            "data": {"source": source},
            "model": {"kind": "ssd_mobilenet_v2", "width_mult": 0.1, "stride": 8},
            "augment": {"train": [{"CenterCrop": {"height": HEIGHT, "width": WIDTH}}], "eval": []},
            **changes,
        },
    )


def fields_of(task: Task, boxed: Dataset, count: int, **changes: Any) -> dict[str, np.ndarray]:
    source = BatchSource(check(values(**changes), "x"), boxed, "val")
    maker = BatchMaker(source)
    layout = {name: (dtype, (count, *shape)) for name, (dtype, shape) in task.layout(HEIGHT, WIDTH).items()}
    arrays = new_arrays(layout)
    for i in range(count):
        raw = maker.reader.read(*maker.split.place(i))
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        task.put(arrays, i, raw, unmoved(pixels, task.companions(raw)))
    return arrays


def test_a_batch_has_places_for_the_most_objects_of_a_sample(boxed: Dataset) -> None:
    assert boxed.most_objects == {"train": 3, "val": 3}
    recipe = check(values(), "x")
    assert BatchSource(recipe, boxed, "train", training=True).layout()["boxes"][1] == (8, 3, 4)
    less = check(values(**{"task": {"kind": "detection", "max_objects": 2}}), "x")
    assert BatchSource(less, boxed, "train", training=True).layout()["boxes"][1] == (8, 2, 4)
    assert BatchSource(less, boxed, "val").layout()["boxes"][1][1] == 3  # what is measured is all there is


def test_the_largest_objects_are_kept_where_not_all_have_a_place(boxed: Dataset) -> None:
    task = task_of(check(values(**{"task": {"kind": "detection", "max_objects": 2}}), "x"), boxed.classes)
    whole, cut = (fields_of(task.sized(boxed, training), boxed, 6) for training in (False, True))
    dropped = 0
    for i in range(6):
        there = whole["kind"][i] >= 0
        largest = np.sort(whole["area"][i][there])[::-1][:2]
        assert np.sort(cut["area"][i][cut["kind"][i] >= 0])[::-1].tolist() == largest.tolist()
        dropped += there.sum() > 2
    assert dropped


def test_more_objects_than_anybody_counted_are_a_bad_sample(boxed: Dataset) -> None:
    with pytest.raises(BadSample, match="it has 3 objects, and batches of these tars have room for 2"):
        fields_of(Detection(boxed.classes, most_objects=2), boxed, 6)


def test_sizes_are_those_of_the_source() -> None:
    """A box of 20 x 20 px in a view that shows the source at half of its size is no small one, but of medium size."""
    task = Detection(("cell",), most_objects=1)
    fields = {
        "boxes": torch.tensor([[[0.0, 0, 20, 20]]]),
        "kind": torch.zeros(1, 1, dtype=torch.int16),
        "crowd": torch.zeros(1, 1, dtype=torch.uint8),
        "area": torch.tensor([[1600.0]]),
        "unit": torch.tensor([2.0]),
    }
    answer = {
        "boxes": fields["boxes"],
        "score": torch.ones(1, 1),
        "kind": torch.zeros(1, 1, dtype=torch.int64),
        "said": torch.ones(1, 1, dtype=torch.bool),
    }
    rows = {name: column.numpy() for name, column in task.rows(answer, fields).items()}
    measured = task.metrics(Tally(task.sums(answer, fields, torch.ones(1)).numpy(), rows))
    assert (measured["AP"], measured["AP_medium"]) == (pytest.approx(1), pytest.approx(1))
    assert measured["AP_small"] == 0
    beside = {**answer, "boxes": answer["boxes"] + 100, "score": torch.full((1, 1), 0.9)}
    two = {name: torch.cat([answer[name], beside[name]], 1) for name in answer}
    rows = {name: column.numpy() for name, column in task.rows(two, fields).items()}
    assert task.certainty(rows).tolist() == [pytest.approx(2 / 3)]


def test_the_loss_of_blended_pictures_is_that_of_each_by_its_share() -> None:
    """Four priors, two classes, all scores alike: of a share of 0.75 the object of class 1 on the first prior, of the
    rest that of class 0 on the second; what is the object of one picture is the other one's background.
    """
    priors = torch.tensor([[5.0, 5, 10, 10], [15, 5, 10, 10], [5, 15, 10, 10], [15, 15, 10, 10]])
    fields = {
        "boxes": torch.tensor([[[0.0, 0, 10, 10]], [[10, 0, 20, 10]]]),
        "kind": torch.tensor([[1], [0]], dtype=torch.int16),
        "crowd": torch.zeros(2, 1, dtype=torch.uint8),
        "area": torch.full((2, 1), 100.0),
    }
    model: Any = SimpleNamespace(
        losses=lambda out, targets: ssd_losses(out["codes"], out["scores"], priors, targets),
        counts=lambda targets, size: dict.fromkeys(("boxes", "classes"), (match(priors, targets) >= 0).sum(1).float()),
    )
    task, draw, one = Detection(("cat", "dog")), Draw((0, 1), (0.75, 0.25), (), (1, 0.75)), torch.tensor([1.0, 0.0])
    made = task.mixed(fields, Drawn(((slice(0, 2), draw),), torch.tensor([[0, 1], [1, 0]]), torch.ones(2, 2)))
    codes, scores = torch.full((2, 4, 4), 0.5), torch.zeros(2, 4, 3, requires_grad=True)
    losses = task.losses(model, {"codes": codes, "scores": scores}, made, one, None)
    assert losses["classes"].item() == pytest.approx(4 * math.log(3))  # an object and three others in each
    assert losses["boxes"].item() == pytest.approx(4 * 0.125)
    assert {name: each.item() for name, each in task.count(model, (20, 20), made, one).items()} == {
        "boxes": 1,
        "classes": 1,
    }
    losses["classes"].backward()  # probabilities, less what they should be: background, cat, dog
    expected = 1 / 3 - torch.tensor([[0.25, 0, 0.75], [0.75, 0.25, 0], [1, 0, 0], [1, 0, 0]])
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad[0], expected)
    # With itself a picture is as it was
    itself = {name: value[:1] for name, value in fields.items()}
    alone = Drawn(((slice(0, 1), Draw((0, 0), (0.5, 0.5), (), (0, 0.5))),), torch.zeros(1, 2).long(), torch.ones(1, 2))
    out = {"codes": codes[:1], "scores": torch.randn(1, 4, 3)}
    plain, blended = (task.losses(model, out, one, torch.ones(1), None) for one in (itself, task.mixed(itself, alone)))
    assert {name: each.item() for name, each in blended.items()} == pytest.approx(
        {name: each.item() for name, each in plain.items()}
    )


def test_a_validation_measures_by_rows_however_it_is_cut(boxed: Dataset) -> None:
    recipe = check(values(**{"evaluate": {"batch_size": 3}}), "x")
    other = check(values(**{"evaluate": {"batch_size": 7}}), "x")
    torch.manual_seed(1)
    model, process = recipe.model.build(3).eval(), Process()
    measured = [evaluate(model, one, boxed, process, Normalize.of(one, process.device), {}) for one in (recipe, other)]
    assert measured[0] == pytest.approx(measured[1], rel=1e-5)
    assert {"val/loss", "val/AP", "val/AP50", "val/AR_100"} <= measured[0].keys()
    assert measured[0]["val/loss"] > 1


def test_answers_of_several_models_are_joined() -> None:
    task = Detection(("cat", "dog"))
    one, two = (
        {
            "boxes": torch.tensor([[[0.0, 0, 10, 10], [shift, 20, 10, 30]]]),
            "score": torch.tensor([[0.9 - shift / 10, 0.3]]),
            "kind": torch.tensor([[1, -1]]),
            "said": torch.tensor([[True, False]]),
            "loss.boxes": torch.tensor([1 + shift]),
        }
        for shift in (0.0, 1.0)
    )
    joined = task.together([one, two])
    assert joined["kind"].tolist() == [[1, -1]]
    assert joined["said"].tolist() == [[True, False]]
    assert joined["score"][0, 0].item() == pytest.approx(0.9)
    assert joined["loss.boxes"].tolist() == [1.5]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss": {"label_smoothing": 0.1}}, "loss.label_smoothing: a detector's loss is its architecture's"),
        ({"loss": {"class_weights": "balanced"}}, "loss.class_weights: a detector's loss is its architecture's"),
        ({"loss": {"terms": {"dice": 1}}}, "loss.terms: are for tasks whose models answer masks"),
        ({"evaluate": {"crf": {}}}, "evaluate.crf: is for models that answer mask, and those of task.kind detection"),
        ({"model": {"kind": "resnet18"}}, "models that answer objects are: ssd300_vgg16"),
    ],
)
def test_what_means_nothing_for_boxes_is_refused(changes: dict[str, Any], says: str) -> None:
    assert says in "\n".join(cross_problems(values(**changes)))


def test_a_crop_that_needs_boxes_is_no_second_fault() -> None:
    wrong = values(**{"augment": {"train": ["RandomIoUCrop"], "eval": []}, "loss": {"label_smoothing": 0.1}})
    with pytest.raises(ZoetropeError, match=r"1 problem\n.*loss.label_smoothing"):
        check(wrong, "x")


def test_the_recipe_says_what_is_said(boxed: Dataset) -> None:
    recipe = check(values(**{"evaluate": {"threshold": {"red": 0.02}, "max_detections": 7}}), "x")
    torch.manual_seed(2)
    model, task = recipe.model.build(3).eval(), task_of(recipe, boxed.classes)
    run = Running(model, Normalize.of(recipe, torch.device("cpu")), recipe.train, recipe.evaluate)
    answer = task.infer(run, {"pixels": np.full((1, 1, HEIGHT, WIDTH, 3), 90, np.uint8)})
    assert answer["score"].shape == (1, 7)
    assert (answer["kind"] == 2).any()
    assert torch.equal(answer["said"], (answer["kind"] == 2) & (answer["score"] >= 0.02))
    wrong = check(values(**{"evaluate": {"threshold": {"rad": 0.2}}}), "x")
    with pytest.raises(ZoetropeError, match=r"evaluate.threshold: .*'rad'.*'red'"):
        task.infer(replace(run, how=wrong.evaluate), {"pixels": np.zeros((1, 1, HEIGHT, WIDTH, 3), np.uint8)})


def test_what_has_a_low_score_is_not_said() -> None:
    answer = {
        "boxes": np.array([[0, 0, 4, 4], [1, 1, 3.14159, 9], [0, 0, 1, 1]]),
        "score": np.array([0.9, 0.25, 0.1], np.float32),
        "kind": np.array([0, 1, 1]),
        "said": np.array([True, True, False]),
    }
    task = Detection(("blue", "red"))
    row = task.row(answer)
    assert (row["boxes"], row["labels"]) == ([[0, 0, 4, 4], [1, 1, 3.14, 9]], ["blue", "red"])
    assert task.words(answer) == "1 x blue, 1 x red"


def test_what_is_exported_finds_what_is_measured(boxed: Dataset) -> None:
    recipe = check(values(), "x")
    torch.manual_seed(2)
    model, task = recipe.model.build(3).eval(), task_of(recipe, boxed.classes)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, HEIGHT, WIDTH, 3), dtype=np.uint8)
    run = Running(model, Normalize.of(recipe, torch.device("cpu")), recipe.train)
    measured = task.infer(run, {"pixels": pixels})
    with torch.no_grad():
        exported = task.exported(model, run.inputs({"pixels": pixels[:, 0]})["pixels"])
    assert exported.keys() == measured.keys() - {"said"} == {"boxes", "score", "kind"}
    assert (exported["kind"] >= 0).any()
    for name, value in exported.items():
        torch.testing.assert_close(measured[name], value)


@pytest.mark.parametrize("most", [7, 375])
def test_as_many_are_exported_as_are_looked_for(boxed: Dataset, most: int) -> None:
    recipe = check(values(evaluate={"max_detections": most}), "x")
    model, task = recipe.model.build(3).eval(), task_of(recipe, boxed.classes).answering(recipe.evaluate)
    with torch.no_grad():
        found = task.exported(model, torch.zeros(1, 3, HEIGHT, WIDTH))
    assert {name: len(value[0]) for name, value in found.items()} == {"boxes": most, "score": most, "kind": most}
