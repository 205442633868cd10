"""A causal TSM on a stream: a step a frame, whose caches are all that it keeps of the past (`models.tsm_online`)."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from augment.transforms import Augmentation, compose
from models.tsm_online import OnlineTSM, State
from pipeline.base.errors import ZoetropeError
from pipeline.exported.formats import FILES, run_onnx
from pipeline.exported.predictor import Predictor

Step = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""From the pixels of the next frame, uint8 [H, W, 3], to the logarithms of its scores, [K] up to a constant."""
LEAST = 1e-37
"""Of a score, before its logarithm is taken."""


@dataclass(frozen=True)
class Causal:
    """A model that answers frame by frame, and how it was trained to see.

    short_side: px of stored frames; transform: what `augment.eval` does to them
    frames, stride, sampling: of the clips of the training
    """

    step: Step
    classes: list[str]
    short_side: int
    transform: Augmentation
    frames: int
    stride: int
    sampling: str

    def pixels(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """See a stored frame [H, W, 3] as the evaluation does."""
        return np.asarray(self.transform(frame[None], 0, "augment", 0, 0, epoch=0)[0])


@dataclass
class Answers:
    """The answer to the newest frames: the mean of as many steps as clips had frames in training.

    As an offline model takes the mean over its clip; the first frames have the mean of those that there are.
    """

    frames: int
    kept: deque[npt.NDArray[np.float32]] = field(init=False)

    def __post_init__(self) -> None:
        """Keep as many steps as clips have frames."""
        self.kept = deque(maxlen=self.frames)

    def __call__(self, step: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Add a step's logarithms; return the scores [K], which sum to 1."""
        self.kept.append(step)
        mean = np.mean(self.kept, axis=0)
        scores = np.exp(mean - mean.max())
        return np.asarray(scores / scores.sum(), np.float32)


def open_causal(folder: Path, device: str | None = None) -> Causal:
    """Open an exported model, or the folder of `export --online`, to answer frame by frame.

    ZoetropeError for a model that needs frames to come, or whose task is not to tell a video's one class.
    """
    if (folder / FILES["onnx"]).is_file():
        return _of_onnx(folder)
    predictor = Predictor(folder, device, {"clips": 1, "crops": 1})
    recipe = predictor.recipe
    if recipe.task.kind != "video-classification":
        raise ZoetropeError(f"stream tells the class of a video, and {recipe.name} is of task.kind {recipe.task.kind}")
    online = OnlineTSM(predictor.model).eval()
    state: list[State | None] = [None]

    @torch.inference_mode()
    def step(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = predictor.normalize(pixels[None])  # [1, H, W, 3] -> [1, 3, H, W]
        logits, state[0] = online(x, state[0])
        return np.asarray(logits[0].log_softmax(0).float().cpu().numpy())

    transform, clip = compose(recipe.augment.eval), recipe.clip
    seen = recipe.stored_short_side, transform, clip.frames, clip.stride, clip.sampling
    return Causal(step, predictor.classes, *seen)


def _of_onnx(folder: Path) -> Causal:
    about: dict[str, Any] = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    if not about["caches"] or "short_side" not in about:
        raise ZoetropeError(
            f"{folder} has no model that answers frame by frame; write it by "
            "`python -m pipeline export MODEL --online` (again, if an earlier version wrote it)"
        )
    run = run_onnx(folder / FILES["onnx"])
    caches = [np.zeros((1, *shape), np.float32) for shape in about["caches"]]

    def step(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        scores, *caches[:] = run([_as_input(pixels, about), *caches])
        return np.asarray(np.log(np.maximum(scores[0], LEAST)))

    clip = about["clip"]
    classes: list[str] = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    transform = compose(about["steps"])
    return Causal(step, classes, about["short_side"], transform, clip["frames"], clip["stride"], clip["sampling"])


def _as_input(pixels: npt.NDArray[np.uint8], about: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return a batch of one frame: as it is where the file normalises inside, else float [1, 3, H, W]."""
    if about["normalized_inside"]:
        return pixels[None]
    scaled = (pixels / np.float32(about["white"]) - np.float32(about["mean"])) / np.float32(about["std"])
    return np.ascontiguousarray(scaled.astype(np.float32).transpose(2, 0, 1)[None])
