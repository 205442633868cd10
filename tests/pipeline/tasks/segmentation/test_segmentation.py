"""What the task's object makes of masks: fields, mixing, margins, and how it infers."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import models
from augment.mixing.base import Draw
from augment.mixing.batch import Drawn, draw_batch
from augment.mixing.cutmix import CutMix
from augment.rides import View
from models.unet_size import valid_size
from pipeline.decode.instances import store_instances
from pipeline.decode.masks import encode_mask
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.recipe.evaluate import Crf, Evaluate
from pipeline.shards.reader import RawSample
from pipeline.tasks import task_of
from pipeline.tasks.base import Tally
from pipeline.tasks.segmentation import Segmentation
from pipeline.tasks.segmentation.border import LARGEST, border_weights
from tests.conftest import tiny_values

CLASSES = ("background", "cell", "scratch")
CROP = [{"RandomCrop": {"height": 16, "width": 16}}]


def recipe(**changes: Any) -> Any:
    values = tiny_values("image", **{"augment": {"train": CROP, "eval": []}, **changes})
    source = {"kind": "images", "path": "/nowhere", "masks": "/nowhere", "classes": list(CLASSES)}
    values |= {"task": {"kind": "segmentation"}, "data": {"source": source}}
    return check(values | {"model": changes.get("model", {"kind": "unet_bn", "width": 4})}, "r")


def two_cells() -> np.ndarray:
    """Instances with a gap of 3 px between them."""
    instances = np.zeros((24, 30), np.uint16)
    instances[4:20, 3:12], instances[4:20, 15:26] = 1, 2
    return instances


def raw(instances: np.ndarray) -> RawSample:
    mask = (instances > 0).astype(np.uint8)
    size = instances.shape[::-1]
    png = cv2_png(instances)
    members = {"seg.png": encode_mask(mask), "inst.png": store_instances(png, size, size, 2, None)[0]}
    views = {name: memoryview(data) for name, data in members.items()}
    return RawSample(memoryview(b""), "jpg", (), "0", size[0], size[1], 1, views)


def cv2_png(pixels: np.ndarray) -> bytes:
    encoded, data = cv2.imencode(".png", pixels)
    assert encoded
    return data.tobytes()


def test_a_recipe_makes_the_task() -> None:
    task = task_of(recipe(loss={"terms": {"dice": 2.0}, "border": True}), CLASSES)
    assert isinstance(task, Segmentation)
    assert (dict(task.terms), task.border, task.margin_px) == ({"dice": 2.0}, True, 0)
    assert task.needs == {"seg.png", "inst.png"}
    plain = task_of(recipe(), CLASSES)
    assert isinstance(plain, Segmentation)
    assert (dict(plain.terms), plain.needs) == ({"cross_entropy": 1.0}, {"seg.png"})
    unpadded = task_of(recipe(model={"kind": "unet", "width": 4}), CLASSES)
    assert isinstance(unpadded, Segmentation)
    assert (unpadded.margin_px, unpadded.fit(100)) == (92, valid_size(100))


def test_a_stride_learns_every_so_manyth_pixel() -> None:
    """Of 5 x 9 px every fourth: those of rows 0, 4 and columns 0, 4, 8, of which one is not known."""
    task = task_of(recipe(loss={"stride": 4}), CLASSES)
    assert isinstance(task, Segmentation)
    torch.manual_seed(0)
    mask = torch.randint(0, 3, (1, 5, 9), dtype=torch.uint8)
    mask[0, 4, 4] = 255
    logits, fields, ones = torch.randn(1, 3, 5, 9), {"mask": mask}, torch.ones(1)
    places = [(0, 0), (0, 4), (0, 8), (4, 0), (4, 8)]
    expected = -sum(float(logits[0, :, y, x].log_softmax(0)[int(mask[0, y, x])]) for y, x in places)
    model = nn.Identity()
    assert float(task.losses(model, logits, fields, ones, None)["cross_entropy"]) == pytest.approx(expected)
    assert float(task.count(model, (), fields, ones)["cross_entropy"]) == 5


def test_shrunk_masks_meet_deeplabs_map() -> None:
    """Of 8 n + 1 px, every eighth pixel of the enlarged logits is a place of the map itself."""
    torch.manual_seed(0)
    model: Any = models.build("deeplabv1_vgg16", 3, width=4).eval()
    found: list[Tensor] = []
    model.fc8.register_forward_hook(lambda module, given, out: found.append(out))
    with torch.no_grad():
        logits = model(torch.randn(1, 3, 41, 57))
    torch.testing.assert_close(logits[..., ::8, ::8], found[0], rtol=1e-4, atol=1e-5)


def test_border_weights_move_with_the_mask() -> None:
    """As a view mirrors the mask it mirrors them; in steps of a 255th of the largest."""
    task = Segmentation(CLASSES, border=True)
    sample = raw(two_cells())
    ridden = task.companions(sample).mask
    assert ridden is not None
    assert ridden.dtype == np.uint16
    arrays = new_arrays({name: (dtype, (1, *shape)) for name, (dtype, shape) in task.layout(24, 30).items()})
    task.put(arrays, 0, sample, View(np.zeros((24, 30, 3), np.uint8), mask=ridden[:, ::-1]))
    assert np.array_equal(arrays["mask"][0], (two_cells() > 0)[:, ::-1])
    weights = border_weights(two_cells())[:, ::-1]
    assert weights.max() > 5
    np.testing.assert_allclose(arrays["border"][0] * (LARGEST / 255), weights, atol=LARGEST / 509)


def test_beside_the_picture_there_is_no_class_and_no_weight() -> None:
    """255 in 16 bits, as `fill_mask` has it, is class 255 of weight 0."""
    task = Segmentation(CLASSES, border=True)
    arrays = new_arrays({name: (dtype, (1, *shape)) for name, (dtype, shape) in task.layout(2, 2).items()})
    task.put(arrays, 0, raw(two_cells()), View(np.zeros((2, 2, 3), np.uint8), mask=np.full((2, 2), 255, np.uint16)))
    assert (arrays["mask"] == 255).all()
    assert (arrays["border"] == 0).all()


def test_a_border_counts_more() -> None:
    task = Segmentation(CLASSES, border=True)
    out, mask = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)
    border = torch.zeros_like(mask)
    border[0, 0, 0] = 255
    fields, ones = {"mask": mask, "border": border}, torch.ones(1)
    loss = task.losses(nn.Identity(), out, fields, ones, None)["cross_entropy"]
    assert loss.item() == pytest.approx(np.log(3) * (16 + LARGEST), rel=1e-5)
    assert task.count(nn.Identity(), (4, 4), fields, ones)["cross_entropy"].item() == 16


def test_of_a_model_without_padding_the_middle_is_learned() -> None:
    task = Segmentation(CLASSES, margin_px=2)
    mask = torch.full((1, 8, 9), 255, dtype=torch.uint8)
    mask[:, 2:-2, 2:-2] = 1
    out = torch.zeros(1, 3, 4, 5)
    assert task.count(nn.Identity(), (8, 9), {"mask": mask}, torch.ones(1))["cross_entropy"].item() == 20
    loss = task.losses(nn.Identity(), out, {"mask": mask}, torch.ones(1), None)["cross_entropy"]
    assert loss.item() == pytest.approx(20 * np.log(3), rel=1e-5)


def test_of_a_model_without_padding_whole_pictures_are_measured() -> None:
    """In a training step the middle, in an evaluation, whose pictures are mirrored at their borders, every pixel."""
    task = Segmentation(CLASSES, margin_px=2)
    mask = torch.randint(0, 3, (1, 8, 9), dtype=torch.uint8)
    scores = nn.functional.one_hot(mask.long(), 3).movedim(-1, 1).float()
    for seen, pixels in ((scores[..., 2:-2, 2:-2], 20), (scores, 72)):
        sums = task.sums({"scores": seen}, {"mask": mask}, torch.ones(1))
        assert sums[1:-1].view(3, 3).diagonal().sum() == sums[1:-1].sum() == pixels
        assert task.rows({"scores": seen}, {"mask": mask})["iou"].item() == 1


def masks(n: int = 4) -> Tensor:
    return torch.randint(0, 3, (n, 8, 10), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_cutmix_pastes_masks_as_pixels() -> None:
    drawn = draw_batch(CutMix(alpha=1.0), 4, 4, 8, 10, "key")
    mixed = Segmentation(CLASSES).mixed({"mask": masks()}, drawn)
    assert mixed.keys() == {"mask"}
    pixels = masks().float()[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(drawn.apply(pixels)[:, 0], mixed["mask"].float())


def test_of_blended_pictures_each_mask_is_learned_by_its_share() -> None:
    """As if each picture came twice, with weights 0.7 and 0.3."""
    task, out, ones = (
        Segmentation(CLASSES, {"cross_entropy": 1.0, "lovasz": 1.0}),
        torch.randn(4, 3, 8, 10),
        torch.ones(4),
    )
    blend = Draw((0, 1), (0.7, 0.3), blend=(1, 0.7))
    index = torch.tensor([[i, (i + 1) % 4] for i in range(4)])
    drawn = Drawn(((slice(0, 4), blend),), index, torch.tensor([[0.7, 0.3]] * 4))
    mixed = task.mixed({"mask": masks()}, drawn)
    assert mixed["mask"].shape == (4, 2, 8, 10)
    own, other = ({"mask": masks()[index[:, m]]} for m in (0, 1))
    for name, part in task.losses(nn.Identity(), out, mixed, ones, None).items():
        parts = [task.losses(nn.Identity(), out, fields, ones, None)[name] for fields in (own, other)]
        assert part.item() == pytest.approx(0.7 * parts[0].item() + 0.3 * parts[1].item(), rel=1e-5)
    count = task.count(nn.Identity(), (8, 10), mixed, ones)["cross_entropy"]
    assert count.item() == pytest.approx(4 * 80, rel=1e-6)
    sums = task.sums(task.answer(out), mixed, ones)
    assert sums[1:-1].sum().item() == pytest.approx(4 * 80, rel=1e-6)  # each pixel once
    assert sums[-1].item() == pytest.approx(4, rel=1e-6)


def test_a_blended_picture_beside_a_pasted_one() -> None:
    """Groups that were mixed in several ways share a batch: one mask alone has all of the weight."""
    patched = draw_batch(CutMix(alpha=1.0), 2, 2, 8, 10, "key").groups[0][1]
    groups = ((slice(0, 2), patched), (slice(2, 4), Draw((0, 1), (0.6, 0.4), blend=(1, 0.6))))
    index = torch.tensor([[0, 1], [1, 0], [2, 3], [3, 2]])
    drawn = Drawn(groups, index, torch.tensor([[0.5, 0.5]] * 2 + [[0.6, 0.4]] * 2))
    mixed = Segmentation(CLASSES).mixed({"mask": masks()}, drawn)
    torch.testing.assert_close(mixed["share"], torch.tensor([[1, 0]] * 2 + [[0.6, 0.4]] * 2))
    pasted = Segmentation(CLASSES).mixed({"mask": masks()[:2]}, Drawn(groups[:1], index[:2], drawn.weights[:2]))
    assert torch.equal(mixed["mask"][:2, 0], pasted["mask"])


class Bright:
    """A run of a model that says class 1 where a pixel is bright, and how often it was called."""

    model = nn.Identity()

    def __init__(self, how: Evaluate | None = None) -> None:
        self.how, self.sizes = how, list[tuple[int, ...]]()

    def parts(self, n: int) -> Any:
        return (slice(i, i + 1) for i in range(n))

    def inputs(self, arrays: Any) -> Any:
        return {"pixels": torch.from_numpy(arrays["pixels"]).movedim(-1, 1).float() / 255}

    def __call__(self, inputs: Any) -> Tensor:
        x = inputs["pixels"].mean(1)
        self.sizes.append(tuple(x.shape[1:]))
        return torch.stack([torch.zeros_like(x), 20 * (x - 0.5), torch.full_like(x, -20)], 1)


def pictures() -> np.ndarray:
    pixels = np.full((2, 1, 100, 140, 3), 40, np.uint8)
    pixels[:, :, 20:60, 30:90] = 220
    return pixels


@pytest.mark.parametrize(
    "how",
    [{}, {"flip": True}, {"scales": [0.5, 1.0]}, {"tile": 64}, {"tile": 96, "flip": True}, {"crf": {"iterations": 2}}],
)
def test_infers_as_the_recipe_asks(how: dict[str, Any]) -> None:
    task, run = Segmentation(CLASSES), Bright(Evaluate.model_validate(how))
    scores = task.infer(run, {"pixels": pictures()})["scores"]
    assert scores.shape == (2, 3, 100, 140)
    torch.testing.assert_close(scores.sum(1), torch.ones(2, 100, 140))
    said = scores.argmax(1).numpy()
    assert (said[:, 22:58, 32:88] == 1).all()
    assert (said[:, :18] == 0).all()
    if "tile" in how:
        assert max(side for size in run.sizes for side in size) <= how["tile"]
    elif "scales" in how:
        assert {(50, 70), (100, 140)} == set(run.sizes)


def test_a_validation_in_training_is_plain() -> None:
    run = Bright()
    Segmentation(CLASSES).infer(run, {"pixels": pictures()})
    assert run.sizes == [(100, 140)] * 2


def test_it_names_what_the_split_lacks() -> None:
    task, mask = Segmentation(CLASSES), torch.zeros(1, 4, 4, dtype=torch.uint8)
    sums = task.sums(task.answer(torch.zeros(1, 3, 4, 4)), {"mask": mask}, torch.ones(1)).numpy()
    assert task.remarks(Tally(sums)) == ["means leave out what the split lacks: cell, scratch"]
    assert replace(task, classes=("sky",)).remarks(Tally(np.array([0.0, 16.0, 1.0]))) == []


def test_the_crf_of_a_recipe_has_the_published_iterations() -> None:
    assert Crf().iterations == 10
