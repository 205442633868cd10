"""What MLflow runs when it loads an exported model (models from code: this file is copied, nothing is pickled)."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class ClassifierFromBytes(PythonModel):
    """A data frame with a column `content`, the bytes of one image or video a row, to `label` and `score`."""

    def load_context(self, context: Any) -> None:
        """Load the weights."""
        from pipeline.predict import Predictor

        self.predictor = Predictor(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The best class and its probability, a row a file."""
        probabilities = self.predictor([bytes(content) for content in model_input["content"]])
        best = probabilities.argmax(1)
        labels = [self.predictor.classes[i] for i in best]
        return pd.DataFrame({"label": labels, "score": probabilities.max(1).astype(float) if len(best) else []})


mlflow.models.set_model(ClassifierFromBytes())
