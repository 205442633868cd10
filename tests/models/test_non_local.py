"""The non-local block against the paper's equations, and where the release puts it."""

import hashlib
from typing import Any

import pytest
import torch

import models
from models.non_local import NonLocal, WithNonLocal


def test_state_dict_and_places_are_the_releases() -> None:
    with torch.device("meta"):
        model = models.build("tsm_resnet50", 400, non_local=True)
    lines = [f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items()]
    assert len(lines) == 385
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "8fbcb58260ebd1a3"
    assert sum(p.numel() for p in model.parameters()) == 31_686_096
    places = [name for name, module in model.named_modules() if isinstance(module, WithNonLocal)]
    assert places == [f"base_model.{place}" for place in ("layer2.0", "layer2.2", "layer3.0", "layer3.2", "layer3.4")]


def test_starts_as_the_identity() -> None:
    x = torch.randn(6, 8, 4, 4)
    assert torch.equal(NonLocal(8).eval()(x, 3), x)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (1, 1), (3, 5)])
def test_against_the_definition(height: int, width: int) -> None:
    """y_i = sum_j softmax_j(theta(x_i) . phi(x_j)) g(x_j); z = W y + x (equations 1, 4 and 6), written out."""
    torch.manual_seed(0)
    block = NonLocal(8).eval()
    torch.nn.init.normal_(block.W.get_parameter("1.weight"))
    x = torch.randn(2 * 3, 8, height, width)
    clips = x.unflatten(0, (2, 3)).transpose(1, 2)
    with torch.no_grad():
        theta, phi, g = (part(clips).flatten(2) for part in (block.theta, block.phi, block.g))
        weights = torch.einsum("bci,bcj->bij", theta, phi).softmax(-1)
        y = torch.einsum("bij,bcj->bci", weights, g).unflatten(2, (3, height, width))
        expected = x + block.W(y).transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(block(x, 3), expected, rtol=1e-4, atol=1e-5)


def test_positions_of_all_frames_see_each_other_and_clips_do_not() -> None:
    torch.manual_seed(0)
    model: Any = models.build("tsn_resnet18", 4, width=8, non_local=True).eval()
    for module in model.modules():
        if isinstance(module, NonLocal):
            torch.nn.init.ones_(module.W.get_parameter("1.weight"))
    clips = torch.randn(2, 3, 4, 32, 32)
    other = clips.clone()
    other[0, :, 3] = 0
    with torch.no_grad():
        before, after = model.frame_features(clips), model.frame_features(other)
    assert (before[0, 0] - after[0, 0]).abs().max() > 1e-4
    torch.testing.assert_close(before[1], after[1])
