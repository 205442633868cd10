"""What a recipe's `optimizer:` may say."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from pipeline.recipe.section import Fraction, Section

NotNegative = Annotated[float, Field(ge=0)]


class OptimizerOptions(Section):
    """What every optimizer can choose."""

    lr: PositiveFloat
    """Learning rate of a batch of `base_batch` samples."""
    base_batch: PositiveInt = 256
    """The batch that `lr` is meant for."""
    scaling: Literal["linear", "sqrt", "none"] = "linear"
    """How the learning rate grows from `base_batch` to `train.batch_size`; `sqrt` is often right for Adam's kin."""
    weight_decay: NotNegative
    """L2; not on biases, norms and embeddings of place, unless `decay_all` says so."""
    decay_all: bool = False
    """Weight decay on every parameter."""
    l1: NotNegative = 0.0
    """L1: this times the sign of every weight that decays is added to its gradient."""
    lr_factors: dict[str, PositiveFloat] = Field(default={})
    """Factors of the learning rate of parameters by name, such as `{"fc.*": 10}`: a new head learns ten times as fast.
    A name may hold `*`; the first that fits counts."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate from each block to the one before it, so that the first ones change least."""


class Sgd(OptimizerOptions):
    """SGD with momentum."""

    kind: Literal["sgd"]
    lr: PositiveFloat = 0.1
    """Learning rate of a batch of `base_batch` samples."""
    momentum: Fraction = 0.9
    """Share of the last step's direction that is kept."""
    nesterov: bool = False
    """Nesterov's momentum: the gradient is taken as if the momentum's step had been made."""
    weight_decay: NotNegative = 1e-4
    """L2; not on biases, norms and embeddings of place, unless `decay_all` says so."""


class AdamW(OptimizerOptions):
    """AdamW (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"]
    lr: PositiveFloat = 1e-3
    """Learning rate of a batch of `base_batch` samples."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: PositiveFloat = 1e-8
    """Added to the divisor."""
    weight_decay: NotNegative = 0.05
    """Times the learning rate taken from every weight (decoupled); not on biases, norms and embeddings of place."""


class RmsProp(OptimizerOptions):
    """RMSprop (Tieleman & Hinton 2012)."""

    kind: Literal["rmsprop"]
    lr: PositiveFloat = 1e-2
    """Learning rate of a batch of `base_batch` samples."""
    alpha: Fraction = 0.9
    """Decay of the running mean of the gradient's square."""
    eps: PositiveFloat = 1e-8
    """Added to the divisor; MobileNet's and EfficientNet's papers took 1.0 and 1e-3."""
    momentum: Fraction = 0.9
    """Share of the last step's direction that is kept."""
    weight_decay: NotNegative = 1e-4
    """L2; not on biases, norms and embeddings of place, unless `decay_all` says so."""


class AdaBound(OptimizerOptions):
    """AdaBound (Luo et al. 2019): Adam whose step sizes are held between bounds that close in on SGD's."""

    kind: Literal["adabound"]
    lr: PositiveFloat = 1e-3
    """Learning rate of a batch of `base_batch` samples."""
    final_lr: PositiveFloat = 0.1
    """The learning rate of SGD that the bounds close in on; it goes up and down as `lr` does."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    gamma: PositiveFloat = 1e-3
    """How quickly the bounds close."""
    eps: PositiveFloat = 1e-8
    """Added to the divisor."""
    amsbound: bool = False
    """AMSBound: divide by the largest mean square so far."""
    weight_decay: NotNegative = 5e-4
    """L2; not on biases, norms and embeddings of place, unless `decay_all` says so."""


Optimizer = Annotated[Sgd | AdamW | RmsProp | AdaBound, Field(discriminator="kind")]
