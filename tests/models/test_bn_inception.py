"""BN-Inception: the release's names and counts, and TRN on it, which takes the release's files."""

import hashlib
from typing import Any

import pytest
import torch
from torch import Tensor

import models
from models.bn_inception import UNITS, BNInception
from models.complexity import count_parameters
from pipeline.base.errors import ZoetropeError
from tests.models.test_resnet import on_meta


def trunk(width: int = 8, bgr: bool = False) -> BNInception:
    torch.manual_seed(0)
    return BNInception(width=width, in_channels=3, bgr=bgr).eval()


def test_it_is_the_releases() -> None:
    """Its 483 tensors beside the last layer, whose names and shapes the digest is of."""
    with torch.device("meta"):
        state = trunk(64).state_dict()
    lines = sorted(f"{key} {tuple(value.shape)}" for key, value in state.items())
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == (483, "95b8559768219525")


@pytest.mark.parametrize("side", [224, 203])
def test_maps_of_each_unit(side: int) -> None:
    """Odd sides are halved upwards where convolutions do so, so that branches lie beside each other."""
    with torch.device("meta"):
        net, x = trunk(64), torch.empty(1, 3, side, side)
        x, found = net.stem(x), []
        for name in UNITS:
            x = net.unit(name, x)
            found.append((x.shape[1], x.shape[2]))
    channels = (256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024)
    sides = {224: (28, 14, 7), 203: (25, 13, 7)}[side]
    assert found == [(of, sides[(i > 1) + (i > 6)]) for i, of in enumerate(channels)]


def test_a_unit_by_its_equation() -> None:
    """The last one pools by the maximum; the others by the mean, whose places beside the map count as 0."""
    net = trunk()
    x = torch.rand(1, 128, 4, 4)
    for name, pooled in (("inception_5b", torch.nn.functional.max_pool2d(x, 3, 1, 1)), ("inception_5a", None)):
        if pooled is None:
            x = torch.rand(1, 132, 4, 4)
            pooled = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=True)
        expected = [
            net.convolved(f"{name}_1x1", x),
            net.convolved(f"{name}_3x3", net.convolved(f"{name}_3x3_reduce", x)),
            net.convolved(
                f"{name}_double_3x3_2",
                net.convolved(f"{name}_double_3x3_1", net.convolved(f"{name}_double_3x3_reduce", x)),
            ),
            net.convolved(f"{name}_pool_proj", pooled),
        ]
        torch.testing.assert_close(net.unit(name, x), torch.cat(expected, 1))


def test_channels_may_come_as_the_release_has_them() -> None:
    rgb, bgr = trunk(), trunk(bgr=True)
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(bgr.stem(x), rgb.stem(x.flip(1)))
    eco: Any = models.build("eco_lite", 4, width=8).eval()
    turned: Any = models.build("eco_lite", 4, width=8, bgr=True).eval()
    turned.load_state_dict(eco.state_dict())
    clips = torch.rand(1, 3, 4, 32, 32)
    torch.testing.assert_close(turned(clips), eco(clips.flip(1)))
    with pytest.raises(ZoetropeError, match=r"takes pictures of at least 7 x 7 px, got the shape \(1, 3, 6, 9\)"):
        rgb.stem(torch.zeros(1, 3, 6, 9))


def test_counts() -> None:
    """Relations have the release's; beside them are the trunk and the layer that describes a frame."""
    model = on_meta("trn_bninception", 174)
    assert count_parameters(model.get_submodule("consensus")) == 2_608_578
    assert tuple(model.state_dict()["new_fc.weight"].shape) == (256, 1024)


def test_official_files_of_trn_load() -> None:
    """A dict with `state_dict`, whose names are those of TSN's wrapper behind `module.`."""
    model = models.build("trn_bninception", 4, width=8, frames=4)
    theirs: dict[str, Tensor] = {f"module.{key}": value + 1 for key, value in model.state_dict().items()}
    assert {key.split(".")[1] for key in theirs} == {"base_model", "new_fc", "consensus"}
    report = models.load_weights(model, {"epoch": 3, "state_dict": theirs})
    assert (len(report.loaded), report.missing, report.unexpected) == (len(theirs), (), ())
    image = {key.removeprefix("module.base_model."): value for key, value in theirs.items() if "base_model" in key}
    image |= {"fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}
    report = models.load_weights(model, image)
    assert len(report.loaded) == len(image) - 2
    assert all(name.startswith(("new_fc", "consensus")) for name in report.missing)
    other = models.build("trn_bninception", 7, width=8, frames=4)
    assert len(models.load_weights(other, theirs).replaced) == 6
