"""What learns: the model and all that a training changes with it, which is what a checkpoint keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import models
from models.pointwise import dilate
from pipeline.base.keyed import seed64
from pipeline.recipe import Recipe
from pipeline.tasks import task_of
from pipeline.training.checkpoint import Stateful
from pipeline.training.distributed import Process, synchronise_norms, wrap
from pipeline.training.early_stopping import EarlyStopping
from pipeline.training.ema import average
from pipeline.training.freeze import freeze
from pipeline.training.model import build_model
from pipeline.training.optimizer import make_optimizer
from pipeline.training.start import asked, find_start


@dataclass
class Learner:
    """A model on its device, with what its recipe wants beside it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: AveragedModel | None
    stopping: EarlyStopping | None
    frozen_norms: tuple[nn.Module, ...] = ()

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        classes: Sequence[str],
        process: Process,
        resumes: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> "Learner":
        """Make a fresh one, the same on every rank but for `model.weights`, which rank 0 alone loads and tells of."""
        torch.manual_seed(seed64(recipe.seed, "init"))
        model = build_model(recipe, len(classes)).to(process.device)
        if process.device.type == "cpu":
            dilate(model)
        if not resumes and process.rank == 0:  # the others get rank 0's when it is wrapped
            _load_start(model, recipe, classes, lambda text: say(f"train: model.weights: {text}"))
        if recipe.train.sync_bn:
            model = synchronise_norms(model, process)
        frozen_norms = freeze(model, recipe.train.freeze)
        return cls(
            model,
            make_optimizer(model, recipe.optimizer, recipe.schedule.warmup_biases is not None),
            torch.amp.GradScaler(process.device.type, enabled=recipe.train.precision == "fp16"),
            average(model, recipe.train.ema) if recipe.train.ema else None,
            _stopping(recipe),
            frozen_norms,
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
        return self.stopping.best if self.stopping.keeps else metrics

    def start_step(self, model: nn.Module) -> None:
        """Set the model, `self.model` as it is wrapped, to training, but for batch norms that are frozen."""
        model.train()
        for norm in self.frozen_norms:
            norm.eval()

    def parallel(self, process: Process, compiled: bool) -> nn.Module:
        """Return the model to train, whose gradients are averaged over all processes; perhaps compiled first."""
        model: Any = torch.compile(self.model) if compiled else self.model
        return wrap(model, process)


def _load_start(model: nn.Module, recipe: Recipe, classes: Sequence[str], say: Callable[[str], None]) -> None:
    """Load what `model.weights` and `model.flow_weights` name, if anything; a head for other classes is left out."""
    for kind, weights in asked(recipe.model.model_dump()):
        start = find_start(kind, weights, recipe.store)
        part = model if kind == recipe.model.kind else model.get_submodule("flow")
        say(str(models.load_weights(part, start.source, say, new_head=start.is_for_others(classes))))


def _stopping(recipe: Recipe) -> EarlyStopping | None:
    """Make what looks for the best validation, where the recipe ends by it or keeps its weights."""
    train = recipe.train
    stop = train.early_stopping
    if not stop and train.keep != "best":
        return None
    metric = f"val/{task_of(recipe).headline.metric}"
    patience, min_delta = (stop.patience, stop.min_delta) if stop else (None, 0.0)
    return EarlyStopping(metric, patience, min_delta, keeps=train.keep != "last")
