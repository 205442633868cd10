"""The best weights that a training had, and its end when it no longer gets better."""

from typing import Any

from torch import Tensor, nn


class EarlyStopping:
    """Follows a metric that should grow; `state_dict` goes into checkpoints.

    patience: None never ends a training; keeps: whether the best weights are what the training makes.
    """

    def __init__(self, metric: str, patience: int | None, min_delta: float, keeps: bool = True) -> None:
        self.metric, self.patience, self.min_delta, self.keeps = metric, patience, min_delta, keeps
        self.best: dict[str, float] = {}
        """All metrics of the best validation."""
        self.worse = 0
        """Validations in a row that were not better than it."""
        self.weights: dict[str, Tensor] = {}
        """The model of the best validation, on the CPU, where it is kept."""

    @property
    def has_ended(self) -> bool:
        """Whether the metric has not grown for `patience` validations in a row."""
        return self.patience is not None and self.worse >= self.patience

    def update(self, metrics: dict[str, float], model: nn.Module) -> None:
        """Count one validation of `model`. Every rank sees the same metrics, so all of them end at the same step."""
        if not self.best or metrics[self.metric] > self.best[self.metric] + self.min_delta:
            self.best, self.worse = dict(metrics), 0
            if self.keeps:
                self.weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        else:
            self.worse += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best, "worse": self.worse, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best, self.worse, self.weights = state["best"], state["worse"], state["weights"]
