"""ECO-Lite: the release's names and counts, and the BN-Inception that starts it."""

import hashlib
from typing import Any

import pytest
import torch

import models
from models.complexity import count_parameters
from pipeline.base.errors import ZoetropeError
from tests.models.test_resnet import on_meta


def test_it_is_the_releases() -> None:
    model = on_meta("eco_lite", 400)
    assert count_parameters(model) == 37_503_856
    lines = sorted(f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items())
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == (216, "ec501a6c0e14560c")


def test_the_map_of_a_frame() -> None:
    with torch.device("meta"):
        model: Any = models.build("eco_lite", 4)
        assert model.frame_maps(torch.empty(2, 3, 224, 224)).shape == (2, 96, 28, 28)


def test_sums_are_of_what_is_not_normalised() -> None:
    """A unit's shortcut is the convolution of 3 x 3 x 3 places and stride 2 on what is, the next one's what is not."""
    torch.manual_seed(0)
    model: Any = models.build("eco_lite", 4, width=8).eval()
    seen: dict[str, torch.Tensor] = {}
    for name in ("res3a_2", "res3b_2", "res3b_bn", "res4a_down", "res4a_2", "res4b_2", "res4a_bn", "res4b_bn"):
        model.get_submodule(name).register_forward_hook(
            lambda _, inputs, out, name=name: seen.update({f"{name} in": inputs[0].clone(), name: out.clone()})
        )
    with torch.no_grad():
        model(torch.randn(1, 3, 4, 64, 64))
    assert torch.equal(seen["res3b_bn in"], seen["res3a_2"] + seen["res3b_2"])
    assert torch.equal(seen["res4a_down in"], seen["res3b_bn"].relu())
    assert torch.equal(seen["res4a_bn in"], seen["res4a_down"] + seen["res4a_2"])
    assert torch.equal(seen["res4b_bn in"], seen["res4a_bn in"] + seen["res4b_2"])
    assert seen["res4a_2"].shape == (1, 32, 2, 4, 4)


def test_bn_inception_starts_it() -> None:
    model = models.build("eco_lite", 4, width=8)
    own = model.state_dict()
    image = {key: value + 1 for key, value in own.items() if not key.startswith(("res", "fc_"))}
    image |= {"inception_3c_3x3.weight": torch.zeros(20, 16, 3, 3), "inception_4a_1x1.bias": torch.zeros(28)}
    image |= {"fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}
    report = models.load_weights(model, image)
    assert len(report.loaded) == len(image) - 4
    assert all(name.startswith(("res", "fc_final")) for name in report.missing)
    own["fc_final.weight"] = own["fc_final.weight"][:3]
    assert models.load_weights(model, own).replaced == ("fc_final.weight",)


def test_weights_in_the_wrapper_of_tsn() -> None:
    model = models.build("eco_lite", 4, width=8)
    theirs = {
        f"module.{key.replace('fc_final', 'new_fc') if key.startswith('fc_') else f'base_model.{key}'}": value + 1
        for key, value in model.state_dict().items()
    }
    assert len(models.load_weights(model, {"state_dict": theirs}).loaded) == 216


def test_a_clip_of_too_few_pixels_is_refused_in_words() -> None:
    model = models.build("eco_lite", 4, width=8).eval()
    assert models.check_options("eco_lite").valid_side(2) == 7
    assert model(torch.zeros(1, 3, 2, 7, 7)).shape == (1, 4)
    with pytest.raises(
        ZoetropeError, match=r"ECOLite takes clips of at least 7 x 7 px, got the shape \(1, 3, 2, 9, 6\)"
    ):
        model(torch.zeros(1, 3, 2, 9, 6))
