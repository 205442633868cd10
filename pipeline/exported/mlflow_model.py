"""What MLflow runs when it loads an exported model (models from code: this file is copied, nothing is pickled)."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class ModelFromBytes(PythonModel):
    """A data frame with a column `content`, the bytes of one image or video a row, to the answers of the task."""

    def load_context(self, context: Any) -> None:
        """Load the weights."""
        from pipeline.exported.predictor import Predictor

        self.predictor = Predictor(Path(context.artifacts["model"]), prepared=True)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict a row a file: the task's answer, and `error`, which is empty, or why the file cannot be used.

        params: `top`, for the columns of so many answers; `max_pixels`, the most that a picture may have; `overlay`,
            for a picture with the answer laid over, where answers have places in it
        """
        from pipeline.exported.serving import serve

        names = model_input["name"] if "name" in model_input else [None] * len(model_input)
        files = [(name, bytes(content)) for name, content in zip(names, model_input["content"], strict=True)]
        return pd.DataFrame(serve(self.predictor, files, **(params or {})))


mlflow.models.set_model(ModelFromBytes())
