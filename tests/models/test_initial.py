import math

import pytest
import torch
from torch import nn

import models
from models.initial import WAYS, initialise


@pytest.mark.parametrize(
    ("way", "variance"),
    [
        ("xavier_uniform", 2 / (64 * 9 + 128 * 9)),
        ("xavier_normal", 2 / (64 * 9 + 128 * 9)),
        ("kaiming_uniform", 2 / (128 * 9)),
        ("kaiming_normal", 2 / (128 * 9)),
    ],
)
def test_variances_are_the_published_ones(way: str, variance: float) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3)
    initialise(conv, way)
    assert conv.weight.var().item() == pytest.approx(variance, rel=0.02)
    assert conv.weight.mean().item() == pytest.approx(0, abs=math.sqrt(variance) / 50)
    if way.endswith("uniform"):
        assert conv.weight.abs().max().item() == pytest.approx(math.sqrt(3 * variance), rel=0.001)
    assert conv.bias is not None
    assert not conv.bias.any()


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_recipe_chooses(way: str) -> None:
    options = {"depth": 2, "width": 8, "heads": 2, "size_px": 16}
    torch.manual_seed(0)
    own = models.build("timesformer_base", 3, **options).state_dict()
    torch.manual_seed(0)
    drawn = models.build("timesformer_base", 3, init=way, **options).state_dict()
    assert not torch.equal(own["blocks.0.attn.qkv.weight"], drawn["blocks.0.attn.qkv.weight"])
    # Zero by design: time attention starts as the identity
    zero = [name for name, value in own.items() if name.endswith("temporal_fc.weight") and not value.any()]
    assert zero
    assert all(not drawn[name].any() for name in zero)
