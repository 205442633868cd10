"""Detection beside its best peers.

    python -m benchmarks.detection ap [PICTURES] [TURNS]          COCO AP, pycocotools and faster-coco-eval
    python -m benchmarks.detection speed [SIDE] [BATCH] [TURNS]   our detectors, images/s of training and of inference

Of `ap`, the peers' own indexing of the objects is not counted, that of the detections is, and so is our matching a
picture. The latter peer is no dependency of the project: pip install faster-coco-eval.
"""

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.pairs import in_turns, quotients, seconds
from pipeline.base.keyed import generator
from pipeline.tasks.detection.match import count_objects, match
from pipeline.tasks.detection.precision import accumulate, coco_numbers

CLASSES = 80
DETECTORS: dict[str, dict[str, Any]] = {
    "yolov5n": {},
    "gnconv_yolov5n": {},
    "horblock_yolov5n": {},
    "hornet_yolov5n": {},
    "yolov5s": {},
    "ssd_mobilenet_v2": {"width_mult": 0.5, "stride": 8, "scales": (0.1, 0.6)},
    "ssd300_vgg16": {"width": 8, "batch_norm": True, "priors": "coco"},
    "fasterrcnn_mobilenet_v2_fpn": {},
    "fasterrcnn_resnet18_fpn": {},
}
"""As recipes for small machines have them."""
OBJECTS = 7.3
"""A picture's, on average: COCO's val has 36,781 in 5,000."""
DETECTIONS = 100
Arrays = dict[str, np.ndarray]


def ap(pictures: str = "5000", turns: str = "3") -> None:
    """Print seconds of the processor and ratios; all three have to say the same."""
    import faster_coco_eval
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    made = [picture(i) for i in range(int(pictures))]
    truth, found = as_coco(made)
    theirs = {"pycocotools": COCO(), "faster-coco-eval": faster_coco_eval.COCO()}
    with contextlib.redirect_stdout(io.StringIO()):
        for each in theirs.values():
            each.dataset = truth
            each.createIndex()
    evaluations = {"pycocotools": COCOeval, "faster-coco-eval": faster_coco_eval.COCOeval_faster}
    said: dict[str, Sequence[float]] = {}

    def ours() -> float:
        began = time.process_time()
        each = [match(*one) for one in made]
        rows = {name: np.stack([row[name] for row in each]) for name in each[0]}
        objects = np.sum([count_objects(truth, CLASSES) for _, truth in made], 0)
        said["ours"] = list(coco_numbers(accumulate(rows, objects)).values())
        return time.process_time() - began

    def peer(name: str) -> Callable[[], float]:
        def seconds() -> float:
            copies = [dict(one) for one in found]  # they write into them
            with contextlib.redirect_stdout(io.StringIO()):
                began = time.process_time()
                evaluation = evaluations[name](theirs[name], theirs[name].loadRes(copies), "bbox")
                evaluation.evaluate()
                evaluation.accumulate()
                evaluation.summarize()
            said[name] = evaluation.stats[:12]
            return time.process_time() - began

        return seconds

    measured = in_turns({"ours": ours, **{name: peer(name) for name in theirs}}, int(turns))
    for name, spent in measured.items():
        apart = np.abs(np.subtract(said[name], said["ours"])).max()
        ratio = quotients(spent, measured["ours"])
        print(f"{name:18} {np.median(spent):7.2f} s  peer over ours {ratio}  AP {said[name][0]:.6f}  apart {apart:.1e}")


def picture(number: int) -> tuple[Arrays, Arrays]:
    """Detections and objects, in 640 x 480 px; a third of the former are near an object, mostly of its class."""
    rng = generator("benchmark of AP", number)
    n = int(rng.poisson(OBJECTS))
    middle, side = rng.random((n, 2)) * (640, 480), np.exp(rng.normal(4, 1, (n, 2))).clip(4, 400)
    boxes = np.concatenate([middle - side / 2, middle + side / 2], 1).astype(np.float32)
    kinds = rng.choice(rng.integers(0, CLASSES, 3), n)  # a picture shows few classes
    truth = {"boxes": boxes, "kind": kinds, "crowd": (rng.random(n) < 0.01).astype(np.uint8), "area": side.prod(1)}
    corner = rng.random((DETECTIONS, 2)) * (560, 400)
    said = np.concatenate([corner, corner + 4 + rng.random((DETECTIONS, 2)) * 200], 1)
    kind, score = rng.integers(0, CLASSES, DETECTIONS), rng.random(DETECTIONS) ** 4
    if n:
        near = np.flatnonzero(rng.random(DETECTIONS) < 1 / 3)
        meant = rng.integers(0, n, len(near))
        said[near] = boxes[meant] + rng.normal(0, 0.1, (len(near), 4)) * np.tile(side[meant], 2)
        said[near, 2:] = np.maximum(said[near, 2:], said[near, :2] + 1)
        kind[near] = np.where(rng.random(len(near)) < 0.8, kinds[meant], kind[near])
        score[near] = score[near] ** 0.25
    return {"boxes": said.astype(np.float32), "kind": kind, "score": score.astype(np.float32)}, truth


def as_coco(made: Sequence[tuple[Arrays, Arrays]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data set and the results, as COCO writes them."""
    truths: list[dict[str, Any]] = []
    found = []
    for i, (answer, truth) in enumerate(made):
        for box, kind, crowd, area in columns(truth, "boxes", "kind", "crowd", "area"):
            one = {"id": len(truths) + 1, "image_id": i, "category_id": kind, "bbox": sides(box)}
            truths.append({**one, "area": area, "iscrowd": crowd})
        for box, kind, score in columns(answer, "boxes", "kind", "score"):
            found.append({"image_id": i, "category_id": kind, "bbox": sides(box), "score": score})
    images = [{"id": i, "width": 640, "height": 480} for i in range(len(made))]
    categories = [{"id": k, "name": str(k)} for k in range(CLASSES)]
    return {"info": {}, "images": images, "annotations": truths, "categories": categories}, found


def columns(arrays: Arrays, *names: str) -> Iterator[tuple[Any, ...]]:
    """Rows of some of the arrays, as Python's own numbers."""
    return zip(*(arrays[name].tolist() for name in names), strict=True)


def sides(box: Sequence[float]) -> list[float]:
    """x, y, width and height of a box."""
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def speed(side: str = "320", batch: str = "8", turns: str = "3") -> None:
    """Print images/s of whole training steps, and of inference with its suppression; of three classes.

    Seconds of the clock on a GPU, in bf16; else of the processor, of one thread. Channels-last.
    """
    import torch

    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n, x, targets = int(batch), *scene(int(side), int(batch), device)
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        name: detector(name, options, x, targets) for name, options in DETECTORS.items()
    }
    for name, spent in in_turns(ways, int(turns)).items():
        train, infer = (n / np.median(each) for each in zip(*spent, strict=True))
        print(f"{name:28} {train:8.1f} images/s of training  {infer:8.1f} of inference")


def scene(side: int, n: int, device: Any) -> tuple[Any, Arrays]:
    """Noise as pictures [n, 3, side, side], and the targets of ten objects each."""
    import torch

    rng = generator("benchmark of detectors", side, n)
    middle, half = rng.random((n, 10, 2)) * side, rng.uniform(0.03, 0.2, (n, 10, 2)) * side
    boxes = np.concatenate([middle - half, middle + half], 2).clip(0, side).astype(np.float32)
    targets: Any = {
        "boxes": torch.from_numpy(boxes).to(device),
        "kind": torch.from_numpy(rng.integers(0, 3, (n, 10))).to(device),
        "crowd": torch.zeros(n, 10, dtype=torch.uint8, device=device),
        "key": torch.arange(n, device=device),
    }
    x = torch.from_numpy(rng.normal(size=(n, 3, side, side)).astype(np.float32)).to(device)
    return x.contiguous(memory_format=torch.channels_last), targets


def detector(name: str, options: dict[str, Any], x: Any, targets: Any) -> Callable[[], tuple[float, float]]:
    """Make a function that trains a step and infers once, and returns the seconds of both."""
    import torch

    import models

    torch.manual_seed(0)
    model: Any = models.build(name, 3, **options)
    model = model.to(x.device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 1e-6, momentum=0.9, fused=True)
    told = {"targets": targets} if getattr(model, "takes_targets", False) else {}
    cast = torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda")

    def train() -> None:
        counts = model.counts(targets, tuple(x.shape[2:]))
        with cast:
            heads = model(x, **told)
            parts = model.losses(heads, targets)
        torch.stack(
            [part.sum() / counts[part_of].sum().clamp(min=1) for part_of, part in parts.items()]
        ).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def infer() -> None:
        with torch.no_grad(), cast:
            model.decode(model(x), tuple(x.shape[2:]), DETECTIONS)

    def both() -> tuple[float, float]:
        model.train()
        trained = seconds(train)
        model.eval()
        return trained, seconds(infer)

    return both


PARTS: dict[str, Callable[..., None]] = {"ap": ap, "speed": speed}


def main(arguments: Sequence[str]) -> None:
    """Run the part that the first argument names."""
    part, *rest = arguments
    PARTS[part](*rest)


if __name__ == "__main__":
    main(sys.argv[1:])
