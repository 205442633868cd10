"""Non-maximum suppression beside its peers that install here, in one run, each on one thread.

    python -m benchmarks.nms [TURNS]     1,000, 10,000 and 100,000 boxes of one class, an overlap of 0.45

Boxes are what a detector gives before suppression: around each object, twenty that are a little off. The peers are the
loop over boxes that is in most repositories (numpy), OpenCV's and onnxruntime's operator.
"""

import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import onnx
import onnxruntime
import torch

from benchmarks.pairs import in_turns, quotients
from models.ops.nms import nms
from pipeline.base.keyed import generator

COUNTS = (1_000, 10_000, 100_000)
OVERLAP = 0.45
AROUND = 20
PICTURE_PX = 2000
Way = Callable[[np.ndarray, np.ndarray], np.ndarray | list[int]]


def main(turns: str = "3") -> None:
    """Print milliseconds of the processor, ratios, and how many boxes are kept by one way alone."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for count in COUNTS:
        compare(count, int(turns))


def compare(count: int, turns: int) -> None:
    """Print a row a way."""
    boxes, scores = scene(count)
    kept: dict[str, set[int]] = {}

    def timed(name: str, way: Way) -> Callable[[], float]:
        def seconds() -> float:
            began = time.process_time()
            found = way(boxes, scores)
            spent = time.process_time() - began
            kept[name] = set(np.asarray(found).ravel().tolist())
            return spent

        return seconds

    ways: dict[str, Way] = {"ours": ours, "numpy loop": loop, "OpenCV": opencv, "onnxruntime": graph()}
    measured = in_turns({name: timed(name, way) for name, way in ways.items()}, turns)
    for name, seconds in measured.items():
        others = len(kept[name] ^ kept["ours"])
        print(
            f"{count:7,} boxes  {name:12} {1000 * np.median(seconds):9.1f} ms  over ours "
            f"{quotients(seconds, measured['ours'])}  keeps {len(kept[name]):6,}, {others} others",
            flush=True,
        )


def scene(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners float32 [count, 4] and scores float32 [count]."""
    rng = generator("benchmark of NMS", count)
    objects = count // AROUND
    middle, side = rng.random((objects, 2)) * PICTURE_PX, np.exp(rng.normal(4, 0.7, (objects, 2)))
    middle = np.repeat(middle, AROUND, 0) + rng.normal(0, 0.1, (count, 2)) * np.repeat(side, AROUND, 0)
    side = np.repeat(side, AROUND, 0) * np.exp(rng.normal(0, 0.1, (count, 2)))
    order = rng.permutation(count)
    boxes = np.concatenate([middle - side / 2, middle + side / 2], 1)[order]
    return boxes.astype(np.float32), rng.random(count, np.float32)


def ours(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Ours."""
    return nms(torch.from_numpy(boxes), torch.from_numpy(scores), OVERLAP).numpy()


def loop(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Take the best, compare it with all that are left, and so on."""
    x0, y0, x1, y1 = boxes.T
    areas, order, kept = (x1 - x0) * (y1 - y0), np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        width = np.minimum(x1[best], x1[order]) - np.maximum(x0[best], x0[order])
        height = np.minimum(y1[best], y1[order]) - np.maximum(y0[best], y0[order])
        shared = width.clip(0) * height.clip(0)
        order = order[shared / (areas[best] + areas[order] - shared) <= OVERLAP]
    return kept


def opencv(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """OpenCV's, which takes corners and sizes."""
    sized = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    return np.asarray(cv2.dnn.NMSBoxes(sized.tolist(), scores.tolist(), 0.0, OVERLAP))


def graph() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A graph of one operator."""
    types = {"boxes": [1, None, 4], "scores": [1, 1, None]}
    inputs = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in types.items()]
    output = onnx.helper.make_tensor_value_info("kept", 7, [None, 3])
    fixed = [
        onnx.helper.make_tensor("most", 7, [1], [2**31 - 1]),
        onnx.helper.make_tensor("overlap", 1, [1], [OVERLAP]),
    ]
    node = onnx.helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "overlap"], ["kept"])
    made = onnx.helper.make_graph([node], "nms", inputs, [output], fixed)
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return lambda boxes, scores: session.run(None, {"boxes": boxes[None], "scores": scores[None, None]})[0][:, 2]


if __name__ == "__main__":
    main(*sys.argv[1:])
