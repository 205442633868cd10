"""The exported model on new files: bytes in, scores out. They go the way that a sample goes in the run."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from pipeline.decode.foreign import check_video
from pipeline.decode.image import check_and_store_image
from pipeline.decode.transcode import transcode
from pipeline.exported import check_whole
from pipeline.feed.views import ViewMaker
from pipeline.recipe import check
from pipeline.tasks import TASKS
from pipeline.training.model import load_model
from pipeline.training.step import Normalize, predict


class Predictor:
    """An exported model: a folder with `model.safetensors`, `recipe.yaml` and `classes.json`.

    ZoetropeError for one that is not as it was exported.
    """

    def __init__(self, folder: Path, device: str | None = None) -> None:
        check_whole(folder)
        self.recipe = check(yaml.safe_load((folder / "recipe.yaml").read_text()), str(folder / "recipe.yaml"))
        self.classes: list[str] = json.loads((folder / "classes.json").read_text())
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = load_model(self.recipe, len(self.classes), folder / "model.safetensors", self.device)
        self.normalize = Normalize.of(self.recipe, self.device)
        self.views = ViewMaker(
            self.recipe, training=False, num_clips=self.recipe.evaluate.clips, num_crops=self.recipe.evaluate.crops
        )

    def __call__(self, contents: Sequence[bytes]) -> np.ndarray:
        """Scores 0..1 float32 [n, K] for the bytes of n image or video files. BadSample for one that is none."""
        rows = [predict(self.model, self.pixels(content)[None], self.normalize, self.recipe) for content in contents]
        return torch.cat(rows).cpu().numpy() if rows else np.zeros((0, len(self.classes)), np.float32)

    def answers(self, contents: Sequence[bytes]) -> dict[str, list]:
        """What the model says of n files, in the columns of the task's `ANSWER`."""
        return TASKS[self.recipe.task.kind].answers(self(contents), tuple(self.classes))

    def pixels(self, content: bytes) -> np.ndarray:
        """Stored as a sample of the run is stored, then seen as the evaluation sees it: uint8 [V, (T,) H, W, 3]."""
        if self.recipe.task.modality == "image":
            image = self.recipe.shard.image
            data, *_ = check_and_store_image(content, ".jpg", image.short_side, image.quality, image.resize)
            return self.views(data, 1)
        video = self.recipe.shard.video
        stored = transcode(content, video.short_side, video.gop, video.crf) if video.transcode else check_video(content)
        return self.views(stored.data, stored.frames)
