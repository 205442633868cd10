"""The exported model on new files: bytes in, answers out. They go the way that a sample goes in the run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.inference import prepare_at_first_call
from pipeline.base.errors import ZoetropeError
from pipeline.base.plugins import is_own
from pipeline.exported.folder import Exported
from pipeline.exported.sight import Seen, Sight
from pipeline.tasks.base import Answer, Arrays
from pipeline.training.model import build_model, load_model
from pipeline.training.step import DTYPES, Normalize, Running


class Predictor(Exported):
    """An exported model, loaded: on `device`, by default a GPU where there is one. Otherwise as `Exported`.

    prepared: whether to bring it into the form in which it predicts fastest, see `models.inference`
    """

    def __init__(
        self,
        folder: Path,
        device: str | None = None,
        views: Mapping[str, Any] | None = None,
        prepared: bool = False,
    ) -> None:
        super().__init__(folder, views)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = load_model(self.recipe, len(self.classes), folder / "model.safetensors", self.device)
        self.normalize = Normalize.of(self.recipe, self.device)
        prepares = prepared and not is_own(self.recipe.model.kind)
        normalize = self.normalize.with_channels_last() if prepares else self.normalize
        self.run = Running(self.model, normalize, self.recipe.train, self.recipe.evaluate)
        if prepares:
            prepare_at_first_call(self.model, self._on_meta, DTYPES[self.run.precision])
        self.sight = Sight(self.recipe)

    def _on_meta(self) -> nn.Module:
        with torch.device("meta"):
            return build_model(self.recipe, len(self.classes))

    def __call__(self, content: bytes) -> Arrays:
        """Compute the task's answer to the bytes of an image or video file, such as `scores` float32 [K].

        BadSample for none.
        """
        (answer,) = placed([self], [(self.sight(content),)])
        return answer

    def pixels(self, content: bytes) -> np.ndarray:
        """Store as a sample of the run is stored, then see as the evaluation sees it: uint8 [V, (T,) H, W, 3]."""
        return self.sight(content).pixels

    def infer(self, pixels: np.ndarray, **others: np.ndarray) -> Answer:
        """Compute the answers to samples of one size, in all their views: uint8 [n, V, (T,) H, W, 3], and by name what
        else the model looks at.

        Halves of them where the GPU's memory does not suffice; ZoetropeError where it does not for one.
        """
        try:
            return self.task.infer(self.run, {"pixels": pixels, **others})
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise ZoetropeError(
                    f"the memory of {self.device} does not suffice for one file; take fewer views, set "
                    "--views tile=512 for masks, or predict on the CPU (CUDA_VISIBLE_DEVICES=)"
                ) from None
        torch.cuda.empty_cache()
        middle = (len(pixels) + 1) // 2
        cuts = slice(None, middle), slice(middle, None)
        halves = [self.infer(pixels[cut], **{name: array[cut] for name, array in others.items()}) for cut in cuts]
        return {name: torch.cat([half[name] for half in halves]) for name in halves[0]}


def placed(predictors: Sequence[Predictor], seen: Sequence[tuple[Seen, ...]]) -> list[Arrays]:
    """Answer some files, each as every model sees it, by what the models say together: in px of the file.

    The predictors must go together, see `check_together`.
    """
    said: list[list[Answer]] = [[] for _ in seen]
    for number, predictor in enumerate(predictors):
        mine = [each[number] for each in seen]
        for group in _of_one_size(mine):
            looks = [mine[i].inputs for i in group]
            answer = predictor.infer(**{name: np.stack([look[name] for look in looks]) for name in looks[0]})
            for place, i in enumerate(group):
                said[i].append({name: value[place : place + 1] for name, value in answer.items()})
    task = predictors[0].task
    answers: list[Answer] = []
    for each, (first, *_) in zip(said, seen, strict=True):
        joined = each[0] if len(each) == 1 else task.together(each)
        where = (None, None) if first.frame is None else (torch.from_numpy(first.frame), first.size)
        answers.append(joined if where[0] is None or where[1] is None else task.restored(joined, where[0], where[1]))
    return [{name: value[0].cpu().numpy() for name, value in answer.items()} for answer in answers]


def _of_one_size(seen: Sequence[Seen]) -> Iterator[list[int]]:
    """Yield places of what has one shape, so that it can be a batch."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, each in enumerate(seen):
        groups.setdefault(each.pixels.shape, []).append(i)
    yield from groups.values()
