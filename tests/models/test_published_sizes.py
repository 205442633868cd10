"""Every segmentation network at its published size: a step, a checkpoint, and the same step after taking it up.

On the meta device: shapes, names and who gets a gradient are followed, and nothing is computed. Numbers are compared on
narrow models, in test_every_model.py.
"""

import pytest
import torch
from torch import Tensor, nn

import models
from models.options import OPTIONS

NUM_CLASSES = 21
NAMES = [name for name, family in OPTIONS.items() if family.answers == "mask"]

pytestmark = pytest.mark.slow


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> Tensor:
    """Make a step of training on all that the model answers; return its first answer."""
    out = model(x)
    answers = out if isinstance(out, tuple) else (out,)
    sum(answer.sum() for answer in answers).backward()
    optimizer.step()
    return answers[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_step_a_checkpoint_and_another_step(name: str) -> None:
    options = models.check_options(name)
    with torch.device("meta"):
        x = torch.empty(2, *options.input_shape)
        first, second = (models.build(name, NUM_CLASSES).train() for _ in range(2))
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in (first, second)]
    logits = step(first, optimizers[0], x)
    assert logits.shape[:2] == (2, NUM_CLASSES)
    assert [key for key, p in first.named_parameters() if p.requires_grad and p.grad is None] == []

    second.load_state_dict(first.state_dict())
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    step(second, optimizers[1], x)
    kept = [optimizer.state_dict()["state"] for optimizer in optimizers]
    assert kept[0].keys() == kept[1].keys()
    assert len(kept[0]) == sum(p.requires_grad for p in first.parameters())
