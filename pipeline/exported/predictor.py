"""The exported model on new files: bytes in, answers out. They go the way that a sample goes in the run."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from pipeline.decode.foreign import check_video
from pipeline.decode.image import check_and_store_image
from pipeline.decode.transcode import transcode
from pipeline.feed.views import ViewMaker
from pipeline.recipe import check
from pipeline.tasks import task_of
from pipeline.tasks.base import Arrays
from pipeline.training.model import load_model
from pipeline.training.model_folder import check_whole
from pipeline.training.step import Normalize, infer


class Predictor:
    """An exported model: a folder with `model.safetensors`, `recipe.yaml` and `classes.json`.

    ZoetropeError for one that is not as it was exported.
    """

    def __init__(self, folder: Path, device: str | None = None) -> None:
        check_whole(folder)
        self.recipe = check(yaml.safe_load((folder / "recipe.yaml").read_text()), str(folder / "recipe.yaml"))
        self.classes: list[str] = json.loads((folder / "classes.json").read_text())
        self.task = task_of(self.recipe, tuple(self.classes))
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = load_model(self.recipe, len(self.classes), folder / "model.safetensors", self.device)
        self.normalize = Normalize.of(self.recipe, self.device)
        self.views = ViewMaker(
            self.recipe, training=False, num_clips=self.recipe.evaluate.clips, num_crops=self.recipe.evaluate.crops
        )

    def __call__(self, content: bytes) -> Arrays:
        """Compute the task's answer to the bytes of an image or video file, `scores` float32 [K].

        BadSample for none.
        """
        answer = infer(self.task, self.model, {"pixels": self.pixels(content)[None]}, self.normalize, self.recipe.train)
        return {name: value[0].cpu().numpy() for name, value in answer.items()}

    def answers(self, contents: Sequence[bytes]) -> dict[str, list]:
        """Return what the model says of n files, in the task's columns."""
        return self.task.answers([self(content) for content in contents])

    def pixels(self, content: bytes) -> np.ndarray:
        """Store as a sample of the run is stored, then see as the evaluation sees it: uint8 [V, (T,) H, W, 3]."""
        if self.recipe.task.modality == "image":
            image = self.recipe.shard.image
            data, *_ = check_and_store_image(content, ".jpg", image.short_side, image.quality, image.resize)
            return self.views(data, 1)
        video = self.recipe.shard.video
        stored = transcode(content, video.short_side, video.gop, video.crf) if video.transcode else check_video(content)
        return self.views(stored.data, stored.frames)
