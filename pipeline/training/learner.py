"""What learns: the model and all that a training changes with it, which is what a checkpoint keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import models
from pipeline.base.keyed import seed64
from pipeline.recipe import Recipe
from pipeline.tasks import task_of
from pipeline.training.checkpoint import Stateful
from pipeline.training.distributed import Process, synchronise_norms, wrap
from pipeline.training.early_stopping import EarlyStopping
from pipeline.training.ema import average
from pipeline.training.model import build_model
from pipeline.training.optimizer import make_optimizer


@dataclass
class Learner:
    """A model on its device, with what its recipe wants beside it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: AveragedModel | None
    stopping: EarlyStopping | None

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        num_classes: int,
        process: Process,
        resumes: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> "Learner":
        """Make a fresh one, the same on every rank but for `model.weights`, which rank 0 alone loads and tells of."""
        torch.manual_seed(seed64(recipe.seed, "init"))
        model = build_model(recipe, num_classes).to(process.device)
        if recipe.model.weights and not resumes and process.rank == 0:  # the others get rank 0's when it is wrapped
            loaded = models.load_weights(model, recipe.model.weights, lambda text: say(f"train: model.weights: {text}"))
            say(f"train: model.weights: {loaded}")
        if recipe.train.sync_bn:
            model = synchronise_norms(model, process)
        stop = recipe.train.early_stopping
        return cls(
            model,
            make_optimizer(model, recipe.optimizer),
            torch.amp.GradScaler(process.device.type, enabled=recipe.train.precision == "fp16"),
            average(model, recipe.train.ema) if recipe.train.ema else None,
            EarlyStopping(f"val/{task_of(recipe).headline.metric}", stop.patience, stop.min_delta) if stop else None,
        )

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint keeps, by its name there."""
        parts: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "scaler": self.scaler}
        optional = {"ema": self.ema, "early_stopping": self.stopping}
        return parts | {name: part for name, part in optional.items() if part is not None}

    @property
    def measured(self) -> nn.Module:
        """The model to validate: the average where there is one."""
        return self.ema.module if self.ema else self.model

    @property
    def has_ended(self) -> bool:
        """Whether early stopping has ended the training."""
        return self.stopping is not None and self.stopping.has_ended

    def keep_best(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return the validation of the weights that are kept: this one, or the best one when that is looked for."""
        if self.stopping is None:
            return metrics
        self.stopping.update(metrics, self.measured)
        return self.stopping.best

    def parallel(self, process: Process, compiled: bool) -> nn.Module:
        """Return the model to train, whose gradients are averaged over all processes; perhaps compiled first."""
        model: Any = torch.compile(self.model) if compiled else self.model
        return wrap(model, process)
