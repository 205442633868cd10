"""Gradient checkpointing of blocks with BatchNorm: less memory, and nothing else that differs."""

from typing import Any

import pytest
import torch
from torch import Tensor

import models
from tests.models.small import batch, shallow


def one_step(name: str, on: bool, compiled: bool = False, **options: Any) -> tuple[Any, int]:
    """A model after a forward and a backward pass, and how many numbers the forward kept for the backward."""
    kept = 0

    def keep(value: Tensor) -> Tensor:
        nonlocal kept
        kept += value.numel()
        return value

    torch.manual_seed(0)
    model = models.build(name, 4, width=8, gradient_checkpointing=on, **options)
    x = batch(name, (64, 64))
    run = torch.compile(model, backend="aot_eager", fullgraph=True) if compiled else model
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        answer = run(x)
        loss = sum(logits.square().sum() for logits in (answer if isinstance(answer, tuple) else (answer,)))
    loss.backward()
    return model, kept


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("resnet50", {"auxiliary_head": True}),
        ("densenet121", {}),
        ("tsn_resnet18", {"dropout": 0.5}),
        ("tsm_resnet50", {"non_local": True, "temporal_pool": True}),
        ("tsm_resnet18", {"place": "block", "partial_bn": True}),
        ("deeplabv3_resnet50", {}),
        ("unet", {}),
        ("unet_bn", {"dropout": 0.1}),
        ("unetpp", {}),
        ("deeplabv3plus_xception", {}),
    ],
)
def test_gradients_and_statistics_are_those_without(name: str, options: dict[str, Any]) -> None:
    (plain, all_kept), (again, kept) = (one_step(name, on, **options) for on in (False, True))
    torch.testing.assert_close([p.grad for p in again.parameters()], [p.grad for p in plain.parameters()])
    buffers = dict(again.named_buffers())
    assert any(key.endswith("running_mean") for key in buffers) == (name != "unet")
    for key, value in plain.named_buffers():
        torch.testing.assert_close(buffers[key], value, rtol=0, atol=0)
    assert kept < all_kept / 2


@pytest.mark.slow
def test_a_compiled_model_updates_its_statistics_once_too() -> None:
    with shallow((1, 1, 1, 1)):
        (plain, _), (compiled, _) = (one_step("tsm_resnet18", on, compiled=on, dropout=0.0) for on in (False, True))
    torch.testing.assert_close(list(compiled.buffers()), list(plain.buffers()))


def test_nothing_is_computed_again_in_evaluation() -> None:
    """The option costs a prediction nothing, with gradients or without."""
    torch.manual_seed(0)
    model = models.build("tsm_resnet18", 4, width=8, gradient_checkpointing=True).eval()
    runs = 0

    def count(*_: Any) -> None:
        nonlocal runs
        runs += 1

    model.get_submodule("base_model.layer1.0.conv2").register_forward_hook(count)
    model(torch.randn(1, 3, 2, 32, 32)).sum().backward()
    assert runs == 1
