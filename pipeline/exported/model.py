"""A trained model to ask, from Python: `pipeline.load_model`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, overload

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.exported.files import named
from pipeline.exported.folder import check_together
from pipeline.exported.predictions import Prediction, predictions
from pipeline.exported.predictor import Predictor
from pipeline.exported.sight import File
from pipeline.training.find_model import find_model, typed

Given = Path | File


class Model:
    """One exported model, or several that answer together by the mean of their scores."""

    def __init__(self, predictors: list[Predictor]) -> None:
        check_together(predictors)
        self.predictors = predictors

    @property
    def classes(self) -> list[str]:
        """The names of the classes that it knows."""
        return self.predictors[0].classes

    @overload
    def predict(  # type: ignore[overload-overlap]  # one str is many, too
        self, files: Given, top: int = 1, draw: bool = False
    ) -> Prediction: ...

    @overload
    def predict(self, files: Iterable[Given], top: int = 1, draw: bool = False) -> list[Prediction]: ...

    def predict(self, files: Any, top: int = 1, draw: bool = False) -> Prediction | list[Prediction]:
        """Predict one file, or each of several, in their order.

        files: a path or URL, the bytes of a file, or pixels uint8 [H, W, 3] RGB of an image, [T, H, W, 3] of a video;
            or a list of such; a model of other channels or bits takes pixels of those
        top:   for the columns of so many answers
        draw:  for the picture with the answer, `Prediction.drawing`

        ZoetropeError for one file that cannot be used. Of several, those have an `error`, and the others an answer.
        """
        alone = isinstance(files, str | bytes | Path | np.ndarray)
        given = [str(file) if isinstance(file, Path) else file for file in ([files] if alone else files)]
        found = list(predictions(self.predictors, given, top=top, draw=draw))
        if not alone:
            return found
        if found[0].error is not None:
            raise ZoetropeError(found[0].error)
        return found[0]

    def stream(
        self,
        files: str | Iterable[str],
        workers: int = 1,
        top: int = 1,
        draw: bool = False,
        batch_size: int | None = None,
        column: str | None = None,
    ) -> Iterator[Prediction]:
        """Predict many files, one after the other: nothing piles up, see `predictions`.

        files: paths and URLs, folders, patterns or tables, see `named`; `column` is that of tables
        """
        many = [files] if isinstance(files, str) else files
        first = self.predictors[0].recipe
        wanted = named(many, first.task.modality, column, first.data.bands)
        return predictions(self.predictors, wanted, workers, top, draw, batch_size)


def load_model(
    name: str,
    *others: str,
    store: str | None = None,
    device: str | None = None,
    views: Mapping[str, Any] | None = None,
) -> Model:
    """Load the exported model of a run, to predict with; with `others`, that of several, which answer together.

    name:   the run's name or id, a folder, a recipe's file for its last run, or an MLflow URI, see `find_model`
    store:  where its run is, by default `runs` in this folder, or what the recipe says
    device: of torch, by default a GPU where there is one
    views:  keys of `evaluate` to change, such as {"clips": 3}, {"flip": True}, {"scales": [0.75, 1.0]}

    ZoetropeError when there is no such model, or when models do not go together.
    """
    folders = [find_model(typed(each), store) for each in (name, *others)]
    return Model([Predictor(folder, device, views, prepared=True) for folder in folders])
