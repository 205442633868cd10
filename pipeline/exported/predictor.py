"""The exported model on new files: bytes in, answers out. They go the way that a sample goes in the run."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from augment.rides import Companions
from pipeline.decode.foreign import check_video
from pipeline.decode.image import check_and_store_image, decode_image, encode_png
from pipeline.decode.probe import probe_file
from pipeline.decode.transcode import transcode
from pipeline.feed.views import ViewMaker
from pipeline.recipe import check
from pipeline.tasks import task_of
from pipeline.tasks.base import Answer, Arrays
from pipeline.training.model import load_model
from pipeline.training.model_folder import check_whole
from pipeline.training.step import Normalize, Running


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
        evaluate = self.recipe.evaluate
        self.views = ViewMaker(
            self.recipe, training=False, num_clips=evaluate.clips, num_crops=evaluate.crops, known=False
        )

    def __call__(self, content: bytes) -> Arrays:
        """Compute the task's answer to the bytes of an image or video file, such as `scores` float32 [K].

        BadSample for none.
        """
        answer = self._placed(content) if self.task.rides else self.infer(self.pixels(content))
        return {name: value[0].cpu().numpy() for name, value in answer.items()}

    def answers(self, contents: Sequence[bytes], overlay: bool = False) -> dict[str, list]:
        """Return what the model says of n files, in the task's columns.

        With `overlay` there is one more where answers have places in the picture: that with the answer laid over, PNG.
        """
        rows = [self(content) for content in contents]
        columns = self.task.answers(rows)
        if overlay:
            drawn = [self.task.overlay(decode_image(one), row) for one, row in zip(contents, rows, strict=True)]
            columns["overlay"] = [None if one is None else encode_png(one) for one in drawn]
        return columns

    def pixels(self, content: bytes) -> np.ndarray:
        """Store as a sample of the run is stored, then see as the evaluation sees it: uint8 [V, (T,) H, W, 3]."""
        if self.recipe.task.modality == "image":
            return self.views(self._stored_image(content)[0], 1)
        video = self.recipe.shard.video
        stored = transcode(content, video.short_side, video.gop, video.crf) if video.transcode else check_video(content)
        return self.views(stored.data, stored.frames)

    def _stored_image(self, content: bytes) -> tuple[bytes, tuple[int, int]]:
        """Return what a shard would hold of an image, and that picture's (width, height)."""
        image = self.recipe.shard.image
        data, _, *size = check_and_store_image(content, ".jpg", image.short_side, image.quality, image.resize)
        return data, (size[0], size[1])

    def _placed(self, content: bytes) -> Answer:
        """Compute an answer that has places in the picture, in px of the file as it is shown."""
        data, stored = self._stored_image(content)
        source = probe_file(io.BytesIO(content), "image")
        view = self.views.view(data, Companions())
        assert view.frame is not None
        frame = torch.from_numpy(view.frame).double()
        frame[:, :2] *= torch.tensor([stored[0] / source.width, stored[1] / source.height], dtype=torch.float64)
        return self.task.restored(self.infer(view.pixels[None]), frame, (source.height, source.width))

    def infer(self, pixels: np.ndarray) -> Answer:
        """Compute the answer to the views uint8 [V, (T,) H, W, 3] of one sample."""
        run = Running(self.model, self.normalize, self.recipe.train, self.recipe.evaluate)
        return self.task.infer(run, {"pixels": pixels[None]})
