"""Initial weights by name, in place of an architecture's own."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    # Glorot & Bengio 2010, eq. 16: a = sqrt(6 / (fan_in + fan_out)); the normal one has the same variance.
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    # He et al. 2015, eq. 10 and 14: variance 2 / fan, for ReLU; fan-out keeps the variance of gradients.
    "kaiming_uniform": partial(nn.init.kaiming_uniform_, mode="fan_out", nonlinearity="relu"),
    "kaiming_normal": partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu"),
}


@torch.no_grad()
def initialise(model: nn.Module, way: str) -> None:
    """Draw the weights of all convolutions and linear layers from torch's generator; their biases become 0.

    Layers that start at 0 by design stay so: they make their block begin as the identity.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and bool(module.weight.any()):
            WAYS[way](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
