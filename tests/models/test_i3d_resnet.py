"""I3D on a ResNet: counts of the non-local networks, the block's equation, and kernels of a ResNet inflated."""

from typing import Any

import pytest
import torch

import models
from models.complexity import count_parameters
from models.pathway import NonLocal
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "non_local", "parameters"),
    [
        ("i3d_resnet50", False, 28_043_472),
        ("i3d_resnet50", True, 35_401_936),
        ("i3d_resnet101", False, 51_754_192),
        ("i3d_resnet101", True, 59_112_656),
    ],
)
def test_parameters(name: str, non_local: bool, parameters: int) -> None:
    assert count_parameters(on_meta(name, 400, non_local=non_local)) == parameters


def test_where_non_local_blocks_stand() -> None:
    for name, places in (("i3d_resnet50", "s3.1 s3.3 s4.1 s4.3 s4.5"), ("i3d_resnet101", "s3.1 s3.3 s4.6 s4.13 s4.20")):
        found = [
            key for key, module in on_meta(name, 4, non_local=True).named_modules() if isinstance(module, NonLocal)
        ]
        assert " ".join(found).replace("pathway0_nonlocal", "") == places


def test_a_non_local_block_against_the_definition() -> None:
    """y_i = sum_j softmax_j(theta(x_i) . phi(x_j) / sqrt(C/2)) g(x_j); z = W y + x, x_j pooled in space."""
    torch.manual_seed(0)
    block = NonLocal(8).eval()
    torch.nn.init.normal_(block.bn.weight)
    x = torch.randn(2, 8, 3, 4, 6)
    with torch.no_grad():
        pooled = torch.nn.functional.max_pool3d(x, (1, 2, 2))
        theta, phi, g = (
            part(of).flatten(2)
            for part, of in ((block.conv_theta, x), (block.conv_phi, pooled), (block.conv_g, pooled))
        )
        weights = (torch.einsum("bci,bcj->bij", theta, phi) / 4**0.5).softmax(-1)
        y = torch.einsum("bij,bcj->bci", weights, g).unflatten(2, (3, 4, 6))
        torch.testing.assert_close(block(x), x + block.bn(block.conv_out(y)), rtol=1e-4, atol=1e-5)


def test_time_is_halved_behind_the_first_stage() -> None:
    model: Any = models.build("i3d_resnet50", 4, width=8).eval()
    seen = []
    for i in (3, 5):
        model.get_submodule(f"s{i}.pathway0_res0").register_forward_hook(
            lambda _, __, y: seen.append(tuple(y.shape[2:]))
        )
    with torch.no_grad():
        model(torch.zeros(1, 3, 8, 64, 64))
    assert seen == [(4, 8, 8), (4, 2, 2)]


def test_a_resnet_for_images_starts_it() -> None:
    torch.manual_seed(0)
    image: Any = models.build("resnet50", 7, width=8)
    video: Any = models.build("i3d_resnet50", 4, width=8, non_local=True)
    report = models.load_weights(video, image.state_dict())
    assert report.unexpected == ()
    assert all("nonlocal" in name for name in report.missing)
    assert report.replaced == ("head.projection.weight", "head.projection.bias")
    for ours, theirs, times in (
        (video.s1.pathway0_stem.conv, image.conv1, 5),
        (video.s2.pathway0_res0.branch2.a, image.layer1[0].conv1, 3),
        (video.s4.pathway0_res5.branch2.b, image.layer3[5].conv2, 1),
        (video.s5.pathway0_res0.branch1, image.layer4[0].downsample[0], 1),
    ):
        assert torch.equal(ours.weight, theirs.weight[:, :, None].expand_as(ours.weight) / times)
    assert torch.equal(video.s5.pathway0_res2.branch2.c_bn.bias, image.layer4[2].bn3.bias)
