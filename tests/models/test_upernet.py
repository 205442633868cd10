"""UPerNet on each backbone: the published counts, its decoder by hand, and in what the port differs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import models
from models.official import weights_of
from models.options import OPTIONS
from models.upernet import Decoder
from models.weights import load_weights
from pipeline.training.lone import REFUSES
from tests.models.exported import assert_onnx_agrees
from tests.models.small import small
from tests.models.test_resnet import count, on_meta

PUBLISHED = {
    "upernet_resnet50": 66_516_108,
    "upernet_swin_t": 59_941_862,
    "upernet_swin_s": 81_259_766,
    "upernet_swin_b": 121_279_716,
    "upernet_convnext_tiny": 60_242_636,
    "upernet_convnext_small": 81_877_196,
    "upernet_convnext_base": 122_102_956,
    "upernet_convnext_large": 234_994_796,
    "upernet_hornet_tiny_7x7": 52_205_036,
    "upernet_hornet_tiny_gf": 54_626_476,
    "upernet_hornet_small_7x7": 81_181_772,
    "upernet_hornet_small_gf": 84_813_932,
    "upernet_hornet_base_7x7": 120_768_172,
    "upernet_hornet_base_gf": 125_611_052,
    "upernet_hornet_large_7x7": 231_769_964,
    "upernet_hornet_large_gf": 239_034_284,
}
"""Of the 150 classes of ADE20K, with the auxiliary head."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters(name: str) -> None:
    assert count(on_meta(name, 150)) == PUBLISHED[name]


def test_parameters_of_its_parts() -> None:
    whole = PUBLISHED["upernet_hornet_tiny_7x7"]
    assert whole - count(on_meta("upernet_hornet_tiny_7x7", 150, auxiliary_head=False)) == 628_886
    plain, horfpn, horfpn_gf = 9_438_208, 2_531_840, 2_917_760
    for fpn, parameters in (("horfpn", horfpn), ("horfpn_gf", horfpn_gf)):
        assert count(on_meta("upernet_hornet_tiny_7x7", 150, fpn=fpn)) == whole - plain + parameters
    assert count(on_meta("upernet_resnet50", 150).get_submodule("classifier")) == 40_590_486


def test_the_decoder_by_hand() -> None:
    torch.manual_seed(0)
    decoder: Any = Decoder([2, 3, 4, 5], 6, 7, "fpn", 0.1).eval()
    sides = (17, 9, 5, 3)
    maps = [torch.randn(2, c, n, n + 1) for c, n in zip((2, 3, 4, 5), sides, strict=True)]

    def to(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, like.shape[2:], mode="bilinear")

    with torch.no_grad():
        levels = decoder.pyramid[0].levels
        means = [
            level(functional.adaptive_avg_pool2d(maps[3], n)) for n, level in zip((1, 2, 3, 6), levels, strict=True)
        ]
        top = decoder.pyramid[1](torch.cat([maps[3], *(to(mean, maps[3]) for mean in means)], 1))
        third = decoder.fpn.laterals[2](maps[2])
        third = third + to(top, third)
        second = decoder.fpn.laterals[1](maps[1])
        second = second + to(third, second)
        first = decoder.fpn.laterals[0](maps[0])
        first = first + to(second, first)
        found = [output(x) for output, x in zip(decoder.fpn.outputs, (first, second, third), strict=True)]
        fused = decoder.fuse(torch.cat([found[0], *(to(x, found[0]) for x in (*found[1:], top))], 1))
        torch.testing.assert_close(decoder(maps), decoder.head(fused))


def test_the_auxiliary_head_answers_in_training_and_learns() -> None:
    torch.manual_seed(0)
    model: Any = models.build("upernet_swin_t", 3, **small("upernet_swin_t"))
    logits, auxiliary = model(torch.randn(2, 3, 40, 33))
    assert logits.shape == auxiliary.shape == (2, 3, 40, 33)
    auxiliary.sum().backward()
    assert model.backbone.stages[2][0].mlp.fc1.weight.grad is not None
    assert model.backbone.stages[3][0].mlp.fc1.weight.grad is None


def test_dropouts_are_of_channels() -> None:
    model = on_meta("upernet_convnext_tiny", 21, dropout=0.3)
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout2d)}
    assert rates == {"classifier.dropout": 0.3, "aux_classifier.3": 0.3}


def test_stems_and_strides_of_resnets() -> None:
    mmseg: Any = on_meta("upernet_resnet50", 21).get_submodule("backbone")
    assert [conv.out_channels for conv in (mmseg.conv1, mmseg.conv2, mmseg.conv3)] == [32, 32, 64]
    assert mmseg.strides == [4, 8, 16, 32]
    port: Any = on_meta("upernet_resnet50", 21, variant="yassouali").get_submodule("backbone")
    assert (port.conv1.kernel_size, port.strides) == ((7, 7), [4, 8, 16, 16])
    assert [block.conv2.dilation[0] for block in port.layer4] == [2, 2, 2]


def test_one_sample_in_training_is_refused_as_a_plan_expects() -> None:
    model = on_meta("upernet_hornet_tiny_gf", 2, **small("upernet_hornet_tiny_gf"))
    with pytest.raises(ValueError, match=REFUSES):
        model.train()(torch.empty(1, 3, 64, 64, device="meta"))
    assert model.eval()(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("name", ["swin_t", "convnext_tiny", "hornet_tiny_gf"])
def test_classifiers_start_the_trunk(name: str) -> None:
    assert f"upernet_{name}" in {kind for row in weights_of(name) for kind in row.kinds}
    torch.manual_seed(0)
    own, model = models.build(name, 9, **small(name)), models.build(f"upernet_{name}", 5, **small(f"upernet_{name}"))
    report = load_weights(model, own.state_dict())
    assert set(report.unexpected) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert set(report.loaded) == {
        key for key in model.state_dict() if key.startswith("backbone.") and not key.startswith("backbone.norm")
    }


@pytest.mark.parametrize("fpn", ["horfpn", "horfpn_gf"])
def test_horfpn_answers(fpn: str) -> None:
    torch.manual_seed(0)
    model = models.build("upernet_hornet_tiny_7x7", 3, **small("upernet_hornet_tiny_7x7"), fpn=fpn).eval()
    assert model(torch.randn(1, 3, 33, 47)).shape == (1, 3, 33, 47)


def test_filters_are_those_of_384_px_for_dense_tasks() -> None:
    for size in ("tiny", "small", "base", "large"):
        family = OPTIONS[f"upernet_hornet_{size}_gf"]
        assert family.model_fields["size_px"].default == 384
    model: Any = on_meta("upernet_hornet_tiny_gf", 5)
    assert model.backbone.stages[2][0].gnconv.dwconv.complex_weight.shape[1:3] == (24, 13)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["upernet_resnet50", "upernet_swin_t", "upernet_convnext_tiny"])
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)
