"""Restoration from a sample to its measure: pairs and what is degraded, and what is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator
from pipeline.decode.image import decode_image
from pipeline.exported.answering import exportable, traced
from pipeline.exported.folder import check_together
from pipeline.exported.formats import run_module
from pipeline.exported.sight import Sight
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.recipe.combos import cross_problems
from pipeline.recipe.restoring import Degrade
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of
from pipeline.tasks.restoration import Restoration
from pipeline.tasks.restoration.degrade import degraded, resized
from pipeline.training.distributed import Process
from pipeline.training.first_batch import draw_preview
from pipeline.training.loop import evaluate
from pipeline.training.step import Normalize, Running
from tests.pipeline.tasks.restoration.pictures import target, values, write_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_pictures(tmp_path_factory.mktemp("pairs"), scale=2)


def batch(recipe: Any, dataset: Dataset, k: int = 0, training: bool = True) -> dict[str, np.ndarray]:
    source = BatchSource(recipe, dataset, "train" if training else "val", training=training)
    maker, arrays = BatchMaker(source), source.sized(new_arrays(source.layout()), k)
    maker.make(0, k, arrays)
    assert not maker.bad
    return arrays


def test_a_crop_is_degraded_by_a_draw_of_its_own(pictures: Dataset) -> None:
    recipe = check(values(2, {"noise": [1, 9]}), "x")
    made, again = (batch(recipe, pictures) for _ in range(2))
    assert (made["pixels"].shape, made["target"].shape) == ((8, 1, 8, 6, 3), (8, 16, 12, 3))
    for name, array in made.items():
        assert np.array_equal(array, again[name])
    for i, number in enumerate(made["sample"].tolist()):
        rng = generator(recipe.seed, 0, number, "degrade")
        expected = degraded(made["target"][i], Degrade(noise=[1, 9]), 2, rng)
        assert np.array_equal(made["pixels"][i, 0], expected)


@pytest.mark.parametrize("kind", ["degraded", "pairs"])
def test_evaluation_sees_whole_pictures_of_all_sizes(pictures: Dataset, pairs: Dataset, kind: str) -> None:
    """Those that the scale does not divide lose a row or a column."""
    dataset = pictures if kind == "degraded" else pairs
    recipe = check(values(2, {} if kind == "degraded" else None, evaluate={"batch_size": 4}), "x")
    seen: dict[tuple[int, ...], int] = {}
    for k in range(BatchSource(recipe, dataset, "val").steps):
        made = batch(recipe, dataset, k, training=False)
        for i in np.flatnonzero(made["weight"]):
            height, width = made["target"].shape[1:3]
            seen[height, width] = seen.get((height, width), 0) + 1
            assert np.array_equal(made["pixels"][i, 0], resized(made["target"][i], height // 2, width // 2))
    assert seen == {(24, 32): 2, (26, 20): 3, (20, 32): 2}


def test_crops_of_pairs_have_the_targets_size_and_move_together(pairs: Dataset) -> None:
    spec = [{"RandomCrop": {"height": 16, "width": 12}}, {"HorizontalFlip": {"p": 1}}]
    recipe = check(values(augment={**values()["augment"], "train": spec}), "x")
    made = batch(recipe, pairs)
    assert (made["pixels"].shape, made["target"].shape) == ((8, 1, 8, 6, 3), (8, 16, 12, 3))
    for i, number in enumerate(made["sample"].tolist()):
        whole = target(number)[:, ::-1]  # some crop of the mirrored picture
        found = [
            (top, left)
            for top in range(0, whole.shape[0] - 15)
            for left in range(0, whole.shape[1] - 11)
            if np.array_equal(whole[top : top + 16, left : left + 12], made["target"][i])
        ]
        assert len(found) == 1
        inner = resized(made["target"][i], 8, 6)[2:-2, 2:-2].astype(int)
        assert np.abs(inner - made["pixels"][i, 0, 2:-2, 2:-2]).max() <= 1


def test_pairs_of_another_scale_are_bad_samples(pairs: Dataset) -> None:
    source = BatchSource(check(values(4), "x"), pairs, "train", training=True)
    maker = BatchMaker(source)
    with pytest.raises(ZoetropeError, match=r"no sample of the split .* can be used, such as .*: its target"):
        maker.make(0, 0, new_arrays(source.layout()))
    assert "its target has 32 x 24 px, and task.scale 4 asks for 64 x 48" in maker.bad.values()


def test_a_picture_smaller_than_the_crop_is_a_bad_sample(pictures: Dataset) -> None:
    large = [{"RandomCrop": {"height": 22, "width": 22}}]
    recipe = check(values(2, {}, augment={**values()["augment"], "train": large}), "x")
    source = BatchSource(recipe, pictures, "train", training=True)
    maker = BatchMaker(source)
    maker.make(0, 0, new_arrays(source.layout()))
    assert maker.bad
    assert all("20 x 26" in why or "33 x 21" in why for why in maker.bad.values())


def test_a_validation_tells_what_bicubic_is_worth(pictures: Dataset) -> None:
    recipe = check(values(2, {}), "x")
    torch.manual_seed(0)
    model, process = recipe.model.build(0).eval(), Process()
    measured = evaluate(model, recipe, pictures, process, Normalize.of(recipe, process.device), {})
    names = {"psnr_rgb_crop2", "psnr_y_crop2", "ssim_y_crop2"}
    assert measured.keys() == {"val/loss", *(f"val/{name}" for name in names | {f"bicubic_{name}" for name in names})}
    assert measured["val/bicubic_psnr_rgb_crop2"] == pytest.approx(48.445, abs=0.01)
    assert measured["val/psnr_rgb_crop2"] < 15


@pytest.mark.parametrize("mean", [0.0, 0.4])
def test_a_model_that_changes_nothing_answers_its_input(mean: float) -> None:
    task = Restoration((), 1, Degrade(noise=5), mean=(mean,) * 3, std=(0.3, 0.2, 1))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 5, 7, 3), dtype=np.uint8)
    augment = {**values()["augment"], "mean": [mean] * 3, "std": [0.3, 0.2, 1]}
    recipe = check(values(1, {"noise": 5}, augment=augment), "x")
    run = Running(torch.nn.Identity(), Normalize.of(recipe, torch.device("cpu")), recipe.train)
    answer = task.infer(run, {"pixels": pixels, "target": pixels[:, 0]})
    torch.testing.assert_close(answer["image"], torch.from_numpy(pixels[:, 0]).movedim(-1, 1).float())
    assert torch.equal(answer["plain"].byte(), answer["image"].round().byte())
    one = {name: value[0].numpy() for name, value in answer.items()}
    assert np.array_equal(decode_image(task.row(one)["image"]), pixels[0, 0])


def test_tiles_and_eight_ways_are_asked_for_by_the_recipe(pictures: Dataset) -> None:
    plain = check(values(2, {}), "x")
    model = plain.model.build(0).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 1, 90, 80, 3), dtype=np.uint8)

    def image(**how: Any) -> torch.Tensor:
        recipe = check(values(2, {}, evaluate=how), "x")
        run = Running(model, Normalize.of(recipe, torch.device("cpu")), recipe.train, recipe.evaluate)
        with torch.no_grad():
            return task_of(recipe).infer(run, {"pixels": pixels})["image"]

    torch.testing.assert_close(image(tile=64), image(), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(image(self_ensemble=True), image(), atol=1e-2)


def test_the_exported_model_takes_any_size() -> None:
    recipe = check(values(2, {}), "x")
    torch.manual_seed(0)
    model, task = recipe.model.build(0).eval(), task_of(recipe)
    given = exportable(recipe, model, task, any_size=True)
    program = traced(given)
    x = torch.rand(3, 3, 21, 34)
    with torch.no_grad():
        expected = task.exported(model, x)["image"].numpy()
    (said,) = run_module(program.module())([x.numpy()])
    assert said.shape == (3, 3, 42, 68)
    np.testing.assert_allclose(said, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("scale", "degrade"), [(3, {}), (2, {"noise": 9})])
def test_pictures_of_models_that_restore_otherwise_are_not_averaged(scale: int, degrade: dict[str, Any]) -> None:
    recipes = [check(values(*what), "x") for what in ((2, {}), (2, {}), (scale, degrade))]
    models: list[Any] = [
        SimpleNamespace(folder=str(i), recipe=recipe, classes=(), task=task_of(recipe))
        for i, recipe in enumerate(recipes)
    ]
    check_together(models[:2])
    with pytest.raises(ZoetropeError, match=r"^2 restores otherwise than 0 \(task.scale, task.degrade\)"):
        check_together(models)


def test_a_new_file_is_seen_as_it_is() -> None:
    seen = Sight(check(values(2, {"noise": 50}), "x"), shows=True)(target(1))
    assert np.array_equal(seen.pixels[0], target(1))
    assert seen.size == target(1).shape[:2]


def test_a_preview_shows_inputs_beside_targets(pictures: Dataset, tmp_path: Path) -> None:
    draw_preview(check(values(2, {}, mixing={"kind": "cutmix"}), "x"), pictures, tmp_path / "preview.png")
    assert (tmp_path / "preview.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shard": {}}, "shard.image.resize: would shrink what is to be restored"),
        ({"augment": {"train": [], "eval": [{"D4": {}}]}}, "augment.eval: pictures are restored whole"),
        ({"model": {"kind": "edsr", "scale": 4}}, "task.scale: is 2, and model.kind edsr enlarges 4 times"),
        ({"model": {"kind": "dncnn"}}, "task.scale: is 2, and model.kind dncnn enlarges 1 times"),
        ({"model": {"kind": "resnet18"}}, "models that answer image are: edsr_baseline, edsr, rcan"),
        ({"task": {"kind": "restoration", "degrade": {}}}, "task.degrade: leaves pictures as they are"),
        ({"task": {"kind": "restoration", "scale": 2}}, "task.degrade: is missing."),
        (
            {"data": {"source": {"kind": "images", "path": "a", "targets": "b"}}},
            "task.degrade: makes inputs of pictures, and data.source gives pairs",
        ),
        ({"data": {"source": {"kind": "folder", "path": "a"}}}, "data.source.kind: folder gives no pictures alone"),
        (
            {"data": {"source": {"kind": "images", "path": "a"}, "split": {"stratify": True}}},
            "data.split.stratify",
        ),
        ({"loss": {"terms": {"dice": 1}}}, "loss.terms: unknown term 'dice'; known are: charbonnier, l1, l2"),
        ({"loss": {"label_smoothing": 0.1}}, "loss.label_smoothing: is of classes, and a restored picture has none"),
        ({"evaluate": {"flip": True}}, "evaluate.flip: is for models that answer mask or objects"),
        (
            {"mixing": {"kind": "sample_pairing"}},
            "sample_pairing has no meaning for task.kind restoration",
        ),
    ],
)
def test_what_means_nothing_for_pictures_is_refused(changes: dict[str, Any], says: str) -> None:
    assert says in "\n".join(cross_problems(values(2, {}, **changes)))


@pytest.mark.parametrize("degrade", [{}, None])
def test_what_resamples_is_refused(degrade: dict[str, Any] | None) -> None:
    wrong = values(2, degrade, augment={"train": [{"Rotate": {}}], "eval": []}, loss={"label_smoothing": 0.1})
    with pytest.raises(ZoetropeError, match="Rotate: would not move the target by whole pixels"):
        check(wrong, "x")


@pytest.mark.parametrize(
    ("degrade", "says"),
    [
        ({"noise": [9, 3]}, "and 9 is more than 3"),
        ({"blur": -1}, "blur"),
        ({"resize": "area"}, "bicubic"),
    ],
)
def test_wrong_ways_to_degrade(degrade: dict[str, Any], says: str) -> None:
    with pytest.raises(ZoetropeError, match=says):
        check(values(2, degrade), "x")


def test_old_runs_are_told_by_their_scale() -> None:
    assert Restoration.worded({"kind": "restoration", "scale": 4}).headline.metric == "psnr_rgb_crop4"
    assert Restoration.worded({"kind": "restoration"}).names[3] == "input_psnr_rgb_crop0"
