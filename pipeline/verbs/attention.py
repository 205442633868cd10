"""The verb `attention`: what an exported TimeSformer looks at in a video, drawn over its frames."""

from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from models.attention_maps import attention_rollout, neighbourhoods, overlay, painted_steps
from models.timesformer import AttentionKind, TimeSformer
from pipeline.base.errors import ZoetropeError
from pipeline.exported.predictor import Predictor
from pipeline.figures.figures import MAX_STRIP_FRAMES, augmentation_sheet
from pipeline.training.model_folder import FILES


def draw_attention(folder: Path, video: Path, path: Path) -> str:
    """Draw the first clip of `video` and attention rollout over it as a PNG at `path`; returns what the model answers.

    Below, for every scheme of attention, which patches the one in the middle may look at (the paper's figure 2).

    `folder` holds an exported model. ZoetropeError when it does not, and for a model without attention.
    """
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise ZoetropeError(
            f"{folder} holds no exported model: {missing[0]} is not there. "
            "Write the path of a folder such as runs/artifacts/export/.../model"
        )
    predictor = Predictor(folder)
    if not isinstance(predictor.model, TimeSformer):
        raise ZoetropeError(f"{predictor.recipe.model.kind} has no attention to draw; train one of the timesformer_*")
    clip = predictor.pixels(video.read_bytes())[:1]
    output = predictor.infer(clip[None])
    maps = attention_rollout(predictor.model, predictor.normalize(clip))[0]
    scores = output["scores"][0]
    best = int(scores.argmax())
    answer = f"'{predictor.classes[best]}' with {scores[best]:.1%}"
    states = [(clip[0], answer), (overlay(clip[0], maps), "blue: least attention, red: most")]
    augmentation_sheet([[*states, *_schemes(clip[0], predictor.model)]], path)
    return answer


def _schemes(frames: npt.NDArray[np.uint8], model: TimeSformer) -> list[tuple[npt.NDArray[np.uint8], str]]:
    """Draw what the patch in the middle of the clip's middle frame may look at, a picture a scheme."""
    frames, patch_px = frames[:MAX_STRIP_FRAMES], model.patch_embed.proj.stride[0]
    size = (frames.shape[1] // patch_px, frames.shape[2] // patch_px, len(frames))
    query = (size[0] // 2, size[1] // 2, size[2] // 2)
    drawn = []
    for kind in get_args(AttentionKind):
        steps = neighbourhoods(kind, size, query)
        said = ", ".join(f"{colour}: {step}" for colour, step in zip(("red", "green", "purple"), steps, strict=False))
        own = " (this model)" if kind == model.attention else ""
        drawn.append((painted_steps(frames, steps, query, patch_px), f"{kind}{own}: of the blue patch, {said}"))
    return drawn
