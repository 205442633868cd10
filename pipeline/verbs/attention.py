"""The verb `attention`: what an exported TimeSformer looks at in a video, drawn over its frames."""

from pathlib import Path

from models.attention_maps import attention_rollout, overlay
from models.timesformer import TimeSformer
from pipeline.base.errors import ZoetropeError
from pipeline.exported.predictor import Predictor
from pipeline.figures.figures import augmentation_sheet
from pipeline.training.model_folder import FILES


def draw_attention(folder: Path, video: Path, path: Path) -> str:
    """Draw the first clip of `video` and attention rollout over it as a PNG at `path`; returns what the model answers.

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
    augmentation_sheet([[(clip[0], answer), (overlay(clip[0], maps), "blue: least attention, red: most")]], path)
    return answer
