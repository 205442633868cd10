"""Masks pasted, matched as pycocotools matches them, and their boundaries."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.base.keyed import generator
from pipeline.decode.outlines import encode_runs, runs, traced
from pipeline.tasks.detection.match import count_objects, match
from pipeline.tasks.detection.precision import accumulate, coco_numbers
from pipeline.tasks.instances.measure import boundary, match_masks, paste

SIZE, K = (60, 80), 2


def test_a_full_mask_fills_its_box() -> None:
    piece = paste(np.ones((28, 28)), np.array([10.0, 20, 38, 48]), SIZE)
    whole = np.zeros(SIZE, bool)
    whole[piece.places] = piece.bits
    y, x = np.nonzero(whole)
    assert (x.min(), y.min(), x.max() + 1, y.max() + 1) == (10, 20, 38, 48)
    assert whole.sum() == 28 * 28


def test_what_lies_outside_is_cut_off() -> None:
    piece = paste(np.ones((28, 28)), np.array([-10.0, -5, 30, 80]), SIZE)
    assert (piece.left, piece.top) == (0, 0)
    assert piece.bits.shape[0] == SIZE[0]
    assert piece.bits[:, :30].all()
    assert not paste(np.ones((28, 28)), np.zeros(4), SIZE).bits.size


def test_a_boundary_by_hand() -> None:
    square = np.zeros((9, 9), bool)
    square[1:8, 1:8] = True
    assert boundary(square, 1).sum() == 49 - 25
    assert boundary(square, 2).sum() == 49 - 9
    assert boundary(np.ones((5, 5), bool), 1).sum() == 25 - 9  # the array's border is one, too


@pytest.mark.parametrize("seed", range(3))
def test_run_lengths_are_read_as_they_are_written(seed: int) -> None:
    rng = generator("runs", seed)
    bits = rng.random((17, 13)) < 0.4
    assert np.array_equal(runs(encode_runs(bits), 13, 17), bits)
    whole = np.zeros((40, 30), bool)
    whole[5:22, 6:19] = bits
    assert encode_runs(bits, 6, 5, (40, 30)) == encode_runs(whole)
    assert encode_runs(np.zeros((3, 4), bool)) == {"size": [3, 4], "counts": "<"}


def test_polygons_go_through_the_outermost_pixels() -> None:
    assert traced(np.ones((3, 4), bool), 10, 20) == [[10.5, 20.5, 10.5, 22.5, 13.5, 22.5, 13.5, 20.5]]


def scenes(seed: int, count: int) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Pictures with up to four objects and six answers near them, ragged masks both."""
    rng, made = generator("masks", seed), []
    for _ in range(count):
        n, d = int(rng.integers(1, 5)), int(rng.integers(0, 7))
        layers = np.zeros((n, *SIZE), np.int16)
        low = rng.integers(0, 30, (n, 2))
        boxes = np.concatenate([low, low + rng.integers(6, 28, (n, 2))], 1).astype(np.float32)
        for number, (x0, y0, x1, y1) in enumerate(boxes.astype(int).tolist(), 1):
            layers[number - 1, y0:y1, x0:x1] = number * (rng.random((y1 - y0, x1 - x0)) < 0.9)
        area = np.array([(layers == number).sum() for number in range(1, n + 1)], np.float32)
        truth: dict[str, np.ndarray] = {"boxes": boxes, "kind": rng.integers(0, K, n), "area": area, "layers": layers}
        truth["crowd"] = np.zeros(n, np.uint8)
        meant = rng.integers(0, n, d)
        near = boxes[meant] + rng.integers(-2, 3, (d, 4)).astype(np.float32)
        masks = np.clip(rng.normal(0.9, 0.4, (d, 28, 28)), 0, 1).astype(np.float32)
        score = rng.random(d).astype(np.float32)
        answer = {"boxes": near, "kind": truth["kind"][meant], "score": score, "masks": masks}
        made.append((answer, truth))
    return made


def by_pycocotools(pairs: list[Any]) -> list[float]:
    images: list[Any] = [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in range(len(pairs))]
    true: list[Any] = []
    said: list[Any] = []
    for i, (answer, truth) in enumerate(pairs):
        for n, kind in enumerate(truth["kind"].tolist()):
            outline = encode_runs((truth["layers"] == n + 1).any(0))
            area = float(truth["area"][n])
            one = {"id": len(true) + 1, "image_id": i, "category_id": kind, "segmentation": outline}
            true.append(one | {"area": area, "iscrowd": 0, "bbox": [0, 0, 1, 1]})
        for d, kind in enumerate(answer["kind"].tolist()):
            piece = paste(answer["masks"][d], answer["boxes"][d], SIZE)
            outline = encode_runs(piece.bits, piece.left, piece.top, SIZE)
            one = {"image_id": i, "category_id": kind, "segmentation": outline}
            said.append(one | {"score": float(answer["score"][d])})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": true, "categories": [{"id": k} for k in range(K)]}
        coco.createIndex()
        found = COCOeval(coco, coco.loadRes(said), "segm")
        found.evaluate()
        found.accumulate()
        found.summarize()
    return [max(0.0, float(number)) for number in found.stats]


@pytest.mark.parametrize("seed", range(3))
def test_mask_ap_is_pycocotools(seed: int) -> None:
    pairs = scenes(seed, 12)
    rows = [match(*pair) | match_masks(*pair, 1.0, 100) for pair in pairs]
    laid = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    laid |= {"matched": laid["mask_matched"], "ignored": laid["mask_ignored"]}
    objects = np.sum([count_objects(truth, K) for _, truth in pairs], 0)
    ours = list(coco_numbers(accumulate(laid, objects)).values())
    assert ours == pytest.approx(by_pycocotools(pairs), abs=1e-12)
    assert 0.05 < ours[0] < 0.95


def test_a_boundary_is_harder_to_meet_than_a_mask() -> None:
    """A box of 40 px that is 4 px off: IoU 0.82, and of its rims of 2 px little."""
    layers = np.zeros((1, 100, 100), np.int16)
    layers[0, 20:60, 20:60] = 1
    one = {"kind": np.array([0]), "crowd": np.array([0]), "area": np.array([1600.0]), "score": np.array([0.9])}
    truth = one | {"boxes": np.array([[20.0, 20, 60, 60]]), "layers": layers}
    answer = one | {"boxes": np.array([[24.0, 20, 64, 60]]), "masks": np.ones((1, 28, 28))}
    row = match_masks(answer, truth, 1.0, 1)
    assert row["mask_matched"][0, 0] == 0b1111111
    assert row["boundary_matched"][0, 0] == 0
