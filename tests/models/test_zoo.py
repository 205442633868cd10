"""One contract for every name in the table, on narrow models; a new architecture is held to it by having a name."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from models.options import OPTIONS
from models.zoo import MODELS

NUM_CLASSES = 5
# The cheapest options of each family; everything else is as published.
SMALL: dict[str, dict[str, Any]] = {"image": {"width": 8}, "video": {"width": 8}}
NAMES = models.names()


def build(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return models.build(name, NUM_CLASSES, **{**SMALL[OPTIONS[name].eats], **options})


def batch(name: str, size_px: tuple[int, int] = (32, 32), num_frames: int = 3, samples: int = 2) -> Tensor:
    frames = (num_frames,) if OPTIONS[name].eats == "video" else ()
    return torch.randn(samples, 3, *frames, *size_px, generator=torch.Generator().manual_seed(1))


def test_table_and_options_have_the_same_names() -> None:
    assert set(MODELS) == set(OPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_backward_and_determinism(name: str) -> None:
    model, x = build(name), batch(name)
    logits = model(x)
    assert logits.shape == (2, NUM_CLASSES)
    logits.square().sum().backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    model.eval()
    with torch.no_grad():
        assert model.features(x).shape[0] == 2  # type: ignore[operator]
        assert model.features(x).dim() == 2  # type: ignore[operator]
        assert torch.equal(model(x), model(x))
        # Samples do not see each other.
        torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(name: str) -> None:
    model, other, x = build(name).eval(), build(name).eval(), batch(name)
    with torch.no_grad():
        for p in other.parameters():
            p.fill_(0.5)
        assert not torch.equal(model(x), other(x))
        other.load_state_dict(model.state_dict())
        assert torch.equal(model(x), other(x))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "tsn_resnet18", "tsm_resnet18", "tsm_resnet50"])
@pytest.mark.parametrize("size_px", [(16, 16), (33, 47), (64, 48)])
def test_other_input_sizes(name: str, size_px: tuple[int, int]) -> None:
    model = build(name).eval()
    with torch.no_grad():
        assert model(batch(name, size_px)).shape == (2, NUM_CLASSES)
        assert model(batch(name, size_px, num_frames=1)).isfinite().all()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "tsn_resnet18", "tsm_resnet18", "tsm_resnet50"])
def test_channels_last_gives_the_same(name: str) -> None:
    model, x = build(name).eval(), batch(name)
    with torch.no_grad():
        expected = model(x)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        channels_last = torch.channels_last_3d if x.dim() == 5 else torch.channels_last
        torch.testing.assert_close(model(x.to(memory_format=channels_last)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "tsn_resnet18", "tsm_resnet18"])
def test_autocast_trains(name: str) -> None:
    model = build(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(batch(name))
    assert logits.dtype == torch.bfloat16
    logits.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("name", ["resnet18", "tsn_resnet18", "tsm_resnet18"])
def test_compiles_whole(name: str) -> None:
    """Dynamo and autograd trace the model without a graph break; code generation is left out, for it takes a minute."""
    model, x = build(name, dropout=0.0), batch(name)
    expected = model(x)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)(x)
    torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-5)
    compiled.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
