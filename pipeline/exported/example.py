"""Run the model beside this file on a picture, or on the frames of a video as an array.

    python example.py picture.jpg
    python example.py frames.npy    # uint8 [T, H, W, 3], RGB; of a picture [H, W, 3], or as many channels as it has

It needs numpy, Pillow and onnxruntime (torch in place of that for model.pt2), and nothing of what trained the model;
for flow, OpenCV.
`preprocessing.json` says what the model takes. Pictures are resized here in floating point, which may be off by one
level of 255 from the training's own; an array that already has the model's size goes in as it is.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
ABOUT: dict[str, Any] = json.loads((HERE / "preprocessing.json").read_text(encoding="utf-8"))
LABELS: list[str] = json.loads((HERE / "labels.json").read_text(encoding="utf-8"))
MODES = {"grey": "L", "RGB": "RGB", "RGBA": "RGBA"}
"""As Pillow calls them."""
SHOWN = 5
COLOURS = ((255, 120, 40), (40, 170, 255), (90, 230, 90))
"""Of limbs on the left, on the right, and of no side."""
LEAST = 0.5
"""Score of a box, from which on it is shown."""


def read(path: str) -> np.ndarray:
    """Read [H, W, C] or [T, H, W, 3]."""
    if path.endswith(".npy"):
        return np.load(path, allow_pickle=False)
    if ABOUT["colours"] not in MODES or ABOUT["white"] != 255:
        sys.exit(f"the model takes {ABOUT['colours']} up to {ABOUT['white']}: give them as .npy, [H, W, C]")
    with Image.open(path) as picture:
        pixels = np.asarray(ImageOps.exif_transpose(picture).convert(MODES[ABOUT["colours"]]))
    return pixels.reshape(*pixels.shape[:2], -1)


def choose_frames(n: int) -> np.ndarray:
    """Return which of n frames the clip has, as the evaluation takes them from a whole video."""
    clip = ABOUT["clip"]
    step = np.arange(clip["frames"])
    if n == clip["frames"]:
        return step
    if clip["sampling"] == "segments":
        return (2 * step + 1) * n // (2 * clip["frames"])
    first = max(0, n - ((clip["frames"] - 1) * clip["stride"] + 1)) // 2
    return (first + clip["stride"] * step) % n


def flow_of(frames: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Compute the flow with each chosen frame, as levels uint8 [T, H, W, 2 L], of all frames of a video; by OpenCV."""
    import cv2

    limit_px, last = ABOUT["flow"]["limit_px"], max(0, len(frames) - 2)
    if any("CenterCrop" not in step for step in ABOUT["steps"]):
        sys.exit("this example cannot resize flow, whose vectors would have to be scaled, too: add it to flow_of")
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (*frames, frames[-1])]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    wanted = np.minimum(chosen[:, None] + np.arange(ABOUT["flow"]["fields"]), last)
    fields = {i: method.calc(grey[i], grey[i + 1], np.zeros(0)) for i in set(wanted.ravel().tolist())}
    px = np.stack([np.concatenate([fields[i] for i in row], -1) for row in wanted.tolist()])
    return np.rint((px + limit_px) * (255 / (2 * limit_px))).clip(0, 255).astype(np.uint8)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize [..., H, W, C], bilinear between the middles of pixels, without smoothing."""
    x: np.ndarray = pixels.astype(np.float64)
    for axis, length in ((-3, height), (-2, width)):
        before = x.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * before / length - 0.5, 0, before - 1)
        low = at.astype(int)
        share = (at - low).reshape(-1, *[1] * (-axis - 1))
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, before - 1), axis) * share
    return np.rint(x).astype(pixels.dtype)


def resize_short_side(pixels: np.ndarray, px: int) -> np.ndarray:
    """Resize [..., H, W, C] so that the shorter side has so many pixels."""
    height, width = pixels.shape[-3:-1]
    scale = px / min(height, width)
    return resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut out the middle of [..., H, W, C]."""
    top, left = (pixels.shape[-3] - height) // 2, (pixels.shape[-2] - width) // 2
    return pixels[..., top : top + height, left : left + width, :]


STEPS: dict[str, Callable[[np.ndarray, dict[str, Any]], np.ndarray]] = {
    "Resize": lambda x, o: resize(x, o["height"], o["width"]),
    "SmallestMaxSize": lambda x, o: resize_short_side(x, o["max_size"]),
    "CenterCrop": lambda x, o: crop(x, o["height"], o["width"]),
}


def fit(pixels: np.ndarray) -> np.ndarray:
    """Bring [..., H, W, C] to what the model takes, by the steps of the evaluation."""
    size = ABOUT["size"]
    if list(pixels.shape[-3:-1]) == size:
        return pixels
    for step in ABOUT["steps"]:
        ((name, options),) = step.items()
        if name not in STEPS or options.get("interpolation", 1) != 1:
            sys.exit(f"this example cannot do {step}: add it to STEPS, or give pixels of the model's size as .npy")
        pixels = STEPS[name](pixels, options)
    if size is not None and list(pixels.shape[-3:-1]) != size:
        sys.exit(f"the model takes {size} px (height, width), and this became {list(pixels.shape[-3:-1])}")
    return pixels


def prepare(pixels: np.ndarray, is_flow: bool = False) -> np.ndarray:
    """Turn [..., H, W, C] into the model's input, a batch of one."""
    if ABOUT["normalized_inside"]:
        return pixels[None]
    values = (0.5, ABOUT["flow"]["std"]) if is_flow else (ABOUT["mean"], ABOUT["std"])
    mean, std = (ABOUT["white"] * np.array(value, np.float32) for value in values)
    return np.ascontiguousarray(np.moveaxis((pixels.astype(np.float32) - mean) / std, -1, 0)[None])


def load() -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Open the model: a function from its inputs to its outputs."""
    if (HERE / "model.onnx").exists():
        import onnxruntime

        session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_inputs()]
        return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))
    import torch

    module = torch.export.load(str(HERE / "model.pt2")).module()
    return lambda inputs: [output.detach().numpy() for output in module(*map(torch.from_numpy, inputs))]


def inputs_with_flow(frames: np.ndarray) -> list[np.ndarray]:
    """Return the inputs of a model that looks at flow, of all frames of a video: from each frame to the next."""
    about = ABOUT["flow"]
    if min(frames.shape[1:3]) > about["short_side_px"]:
        frames = resize_short_side(frames, about["short_side_px"])
    chosen = choose_frames(len(frames))
    flow = prepare(fit(flow_of(frames, chosen)), is_flow=True)
    return [flow] if about["alone"] else [prepare(fit(frames[chosen])), flow]


def answer(path: str) -> list[np.ndarray]:
    """Answer a file: what the model's outputs say, without the batch; of a stream the mean over its frames."""
    pixels, run = read(path), load()
    if "flow" in ABOUT:
        return [output[0] for output in run(inputs_with_flow(pixels))]
    if ABOUT["clip"]:
        pixels = pixels[choose_frames(len(pixels))]
    pixels = fit(pixels)
    if not ABOUT["caches"]:
        return [output[0] for output in run([prepare(pixels)])]
    caches = [np.zeros((1, *shape), np.float32) for shape in ABOUT["caches"]]
    answers = []
    for frame in pixels:
        output, *caches = run([prepare(frame), *caches])
        answers.append(output[0])
    return [np.mean(answers, 0)]


def bodies(maps: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Find bodies in the maps of a network of key points: by joint x, y in pixels of what it takes, and how sure it
    is.
    """
    import assemble  # it lies beside this file

    heat, joints = maps[0], ABOUT["joints"]
    if ABOUT["persons"] == "one":
        points, scores = assemble.highest(heat, len(joints), ABOUT["stride"])
    else:
        how = assemble.Constants(**ABOUT["assembly"])
        points, scores = assemble.assemble(
            heat, maps[1], ABOUT["stride"], len(joints), ABOUT["limbs"], ABOUT["order"], how
        )
    return [
        {
            "score": float(score),
            "joints": {name: place for name, place in zip(joints, body, strict=True) if place[2] > 0},
        }
        for body, score in zip(points.round(3).tolist(), scores, strict=True)
    ]


def draw_bodies(pixels: np.ndarray, found: list[dict[str, Any]]) -> None:
    """Draw skeletons on what the model takes [H, W, C], as skeletons.png."""
    from PIL import ImageDraw

    picture = Image.fromarray(pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0]).convert("RGB")
    canvas, width = ImageDraw.Draw(picture), max(2, round(max(picture.size) / 160))
    for body in found:
        for a, b in ABOUT["limbs"]:
            names = ABOUT["joints"][a], ABOUT["joints"][b]
            if all(name in body["joints"] for name in names):
                sides = [any(name.startswith(side) for name in names) for side in ("left_", "right_")]
                colour = COLOURS[sides.index(True) if sum(sides) == 1 else 2]
                canvas.line([tuple(body["joints"][name][:2]) for name in names], fill=colour, width=width)
    picture.save("skeletons.png")


def main(paths: Sequence[str]) -> None:
    """Print the classes that the model finds in each file; of a picture's pixels, write their classes as mask.png.

    Of a detector they are boxes, x0, y0, x1, y1 in pixels of what the model takes; of key points JSON, and
    skeletons.png. A model without classes restores pictures: restored.png.
    """
    if not paths:
        sys.exit(__doc__)
    for path in paths:
        if "joints" in ABOUT:
            persons = bodies(answer(path))
            print(json.dumps({"file": path, "bodies": persons}))
            draw_bodies(fit(read(path)), persons)
            continue
        found, *others = answer(path)
        if others:
            for box, score, kind in zip(found, *others, strict=True):
                if score >= LEAST:
                    print(f"{score:.6f} {LABELS[int(kind)]}", *(f"{edge:.1f}" for edge in box))
            continue
        if not LABELS:
            picture = np.moveaxis(np.rint(found).clip(0, 255).astype(np.uint8), 0, -1)
            Image.fromarray(picture).save("restored.png")
            print(f"{path}: it is restored in restored.png")
            continue
        if found.ndim == 3:
            mask = found.argmax(0).astype(np.uint8)
            Image.fromarray(mask).save("mask.png")
            print(f"{path}: the classes of its pixels are in mask.png")
            found = np.bincount(mask.ravel(), minlength=len(LABELS)) / mask.size
        for i in np.argsort(-found, kind="stable")[:SHOWN]:
            print(f"{found[i]:.6f} {LABELS[i]}")


if __name__ == "__main__":
    main(sys.argv[1:])
