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

        self.predictor = Predictor(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict a row a file: the task's answer; with `params` {"overlay": True} a picture of it, too."""
        contents = [bytes(content) for content in model_input["content"]]
        return pd.DataFrame(self.predictor.answers(contents, overlay=bool((params or {}).get("overlay"))))


mlflow.models.set_model(ModelFromBytes())
