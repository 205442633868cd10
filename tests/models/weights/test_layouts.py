"""Released layouts of segmentation networks: all names and shapes, as digests, and that they load without a rest."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import models
from models.weights import load_weights
from models.weights.layouts import own_layout
from tests.models.small import small
from tests.models.test_resnet import on_meta

State = dict[str, Tensor]
Rules = list[tuple[str, str | Callable[[re.Match[str]], str]]]


def deep_stem(conv: str, norm: str, last: str) -> Rules:
    """Of a stem in one sequence: a convolution, its batch norm and ReLU, three times; `last` is the last norm's."""
    return [
        (r"^backbone\.bn3\.", last),
        (r"^backbone\.conv([123])\.", lambda found: conv.format(3 * (int(found[1]) - 1))),
        (r"^backbone\.bn([12])\.", lambda found: norm.format(3 * (int(found[1]) - 1) + 1)),
        (r"^backbone\.", ""),
    ]


# From our names to theirs, written the other way than the code has them.
SEMSEG_PSPNET: Rules = [
    *deep_stem("layer0.{}.", "layer0.{}.", "layer0.7."),
    (r"^classifier\.0\.levels\.(\d)\.([01])\.", lambda found: f"ppm.features.{found[1]}.{int(found[2]) + 1}."),
    (r"^classifier\.1\.", "cls."),
    (r"^aux_classifier\.", "aux."),
]
YASSOUALI_PSPNET: Rules = [
    *deep_stem("initial.0.{}.", "initial.0.{}.", "initial.1."),
    (
        r"^classifier\.0\.levels\.(\d)\.([01])\.",
        lambda found: f"master_branch.0.stages.{found[1]}.{int(found[2]) + 1}.",
    ),
    (r"^classifier\.1\.4\.", "master_branch.1."),
    (r"^classifier\.1\.", "master_branch.0.bottleneck."),
    (r"^aux_classifier\.", "auxiliary_branch."),
]
SEGNET_FIRSTS = (0, 7, 14, 24, 34)


def segnet_stage(found: re.Match[str]) -> str:
    stage, first = max((n, first) for n, first in enumerate(SEGNET_FIRSTS, 1) if first <= int(found[1]))
    return f"stage{stage}_encoder.{int(found[1]) - first}."


YASSOUALI_SEGNET: Rules = [
    (r"^features\.(\d+)\.", segnet_stage),
    (r"^decoder\.(\d)\.", lambda found: f"stage{int(found[1]) + 1}_decoder."),
    (r"^score\.", "stage5_decoder.6."),
]
YASSOUALI_GCN: Rules = [
    (r"^backbone\.conv1\.", "backbone.initial.0."),
    (r"^backbone\.bn1\.", "backbone.initial.1."),
    (r"^classifier\.", ""),
]
YASSOUALI_UPERNET: Rules = [
    (r"^backbone\.conv1\.", "backbone.initial.0."),
    (r"^backbone\.bn1\.", "backbone.initial.1."),
    (
        r"^classifier\.pyramid\.0\.levels\.(\d)\.([01])\.",
        lambda found: f"PPN.stages.{found[1]}.{int(found[2]) + 1}.",
    ),
    (r"^classifier\.pyramid\.1\.", "PPN.bottleneck."),
    (r"^classifier\.laterals\.", "FPN.conv1x1."),
    (r"^classifier\.outputs\.", "FPN.smooth_conv."),
    (r"^classifier\.fuse\.", "FPN.conv_fusion."),
    (r"^classifier\.head\.", "head."),
]
YASSOUALI_V3PLUS: Rules = [
    (r"^classifier\.aspp\.convs\.4\.", "ASSP.avg_pool."),
    (r"^classifier\.aspp\.convs\.(\d)\.", lambda found: f"ASSP.aspp{int(found[1]) + 1}."),
    (r"^classifier\.aspp\.project\.0\.", "ASSP.conv1."),
    (r"^classifier\.aspp\.project\.1\.", "ASSP.bn1."),
    (r"^classifier\.reduce\.0\.", "decoder.conv1."),
    (r"^classifier\.reduce\.1\.", "decoder.bn1."),
    (r"^classifier\.fuse\.", "decoder.output."),
    (r"^classifier\.head\.", "decoder.output.7."),
]
KAZUTO: Rules = [
    (r"^backbone\.conv1\.", "layer1.conv1.conv."),
    (r"^backbone\.bn1\.", "layer1.conv1.bn."),
    (r"^backbone\.layer(\d)\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}.block{int(found[2]) + 1}."),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.bn."),
    *(
        (rf"(block\d+)\.{ours}{number}\.", rf"\1.{part}.{theirs}.")
        for number, part in enumerate(("reduce", "conv3x3", "increase"), 1)
        for ours, theirs in (("conv", "conv"), ("bn", "bn"))
    ),
    (r"^classifier\.aspp\.convs\.4\.1\.", "aspp.stages.imagepool.conv.conv."),
    (r"^classifier\.aspp\.convs\.4\.2\.", "aspp.stages.imagepool.conv.bn."),
    (r"^classifier\.aspp\.convs\.(\d)\.0\.", r"aspp.stages.c\1.conv."),
    (r"^classifier\.aspp\.convs\.(\d)\.1\.", r"aspp.stages.c\1.bn."),
    (r"^classifier\.aspp\.project\.0\.", "fc1.conv."),
    (r"^classifier\.aspp\.project\.1\.", "fc1.bn."),
    (r"^classifier\.reduce\.0\.", "reduce.conv."),
    (r"^classifier\.reduce\.1\.", "reduce.bn."),
    (r"^classifier\.fuse\.0\.", "fc2.conv1.conv."),
    (r"^classifier\.fuse\.1\.", "fc2.conv1.bn."),
    (r"^classifier\.fuse\.3\.", "fc2.conv2.conv."),
    (r"^classifier\.fuse\.4\.", "fc2.conv2.bn."),
    (r"^classifier\.head\.", "fc2.conv3."),
    (r"^classifier\.(c\d)\.", r"aspp.\1."),
    (r"^classifier\.", "fc."),
]
KAZUTO_V3: Rules = [(r"^classifier\.head\.", "fc2."), *KAZUTO, (r"^", "base.")]
IN_MSC: Rules = [*KAZUTO, (r"^", "base.")]
# mmsegmentation's convolutions are a module of `conv` and `bn` each; HorFPN's norm is its gnConv's own.
MMSEG_HEADS: Rules = [
    (r"^classifier\.pyramid\.0\.levels\.(\d)\.0\.", r"decode_head.psp_modules.\1.1.conv."),
    (r"^classifier\.pyramid\.0\.levels\.(\d)\.1\.", r"decode_head.psp_modules.\1.1.bn."),
    (r"^classifier\.pyramid\.1\.0\.", "decode_head.bottleneck.conv."),
    (r"^classifier\.pyramid\.1\.1\.", "decode_head.bottleneck.bn."),
    (r"^classifier\.fpn\.laterals\.(\d)\.0\.", r"decode_head.lateral_convs.\1.conv."),
    (r"^classifier\.fpn\.laterals\.(\d)\.1\.", r"decode_head.lateral_convs.\1.bn."),
    (r"^classifier\.fpn\.outputs\.(\d)\.0\.", r"decode_head.fpn_convs.\1.conv."),
    (r"^classifier\.fpn\.outputs\.(\d)\.1\.", r"decode_head.fpn_convs.\1.bn."),
    (r"^classifier\.fuse\.0\.weight", "decode_head.fpn_bottleneck.conv.weight"),
    (r"^classifier\.fuse\.0\.", "decode_head.fpn_bottleneck."),
    (r"^classifier\.fuse\.1\.", "decode_head.fpn_bottleneck.bn."),
    (r"^classifier\.head\.", "decode_head.conv_seg."),
    (r"^aux_classifier\.0\.", "auxiliary_head.convs.0.conv."),
    (r"^aux_classifier\.1\.", "auxiliary_head.convs.0.bn."),
    (r"^aux_classifier\.4\.", "auxiliary_head.conv_seg."),
]
MMSEG_RESNET: Rules = [
    *MMSEG_HEADS,
    (r"^backbone\.conv([123])\.", lambda found: f"backbone.stem.{3 * int(found[1]) - 3}."),
    (r"^backbone\.bn([123])\.", lambda found: f"backbone.stem.{3 * int(found[1]) - 2}."),
]
MMSEG_CONVNEXT: Rules = [
    *MMSEG_HEADS,
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv([12])\.", r".pointwise_conv\1."),
]
MICROSOFT_SWIN: Rules = [
    *MMSEG_HEADS,
    (r"^backbone\.downsample_layers\.0\.0\.", "backbone.patch_embed.proj."),
    (r"^backbone\.downsample_layers\.0\.1\.", "backbone.patch_embed.norm."),
    (r"^backbone\.downsample_layers\.(\d)\.", lambda found: f"backbone.layers.{int(found[1]) - 1}.downsample."),
    (r"^backbone\.stages\.(\d)\.", r"backbone.layers.\1.blocks."),
]
OPENMMLAB_SWIN: Rules = [
    *MMSEG_HEADS,
    (r"^backbone\.downsample_layers\.0\.0\.", "backbone.patch_embed.projection."),
    (r"^backbone\.downsample_layers\.0\.1\.", "backbone.patch_embed.norm."),
    (r"^backbone\.downsample_layers\.(\d)\.", lambda found: f"backbone.stages.{int(found[1]) - 1}.downsample."),
    (r"^backbone\.stages\.(\d)\.(?=\d)", r"backbone.stages.\1.blocks."),
    (r"\.attn\.", ".attn.w_msa."),
    (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", ".ffn.layers.1."),
]
YASSOUALI = {"variant": "yassouali"}
CASES: list[tuple[str, dict[str, Any], Rules, tuple[int, str]]] = [
    ("pspnet_resnet50", {}, SEMSEG_PSPNET, (370, "65f4ed7e41f442db")),
    ("pspnet_resnet50", YASSOUALI, YASSOUALI_PSPNET, (370, "d691fbbea221d068")),
    ("segnet", YASSOUALI, YASSOUALI_SEGNET, (184, "f09dbe4bb8d13707")),
    ("gcn_resnet50", YASSOUALI, YASSOUALI_GCN, (478, "027be9b9a3dcb19d")),
    ("upernet_resnet50", YASSOUALI, YASSOUALI_UPERNET, (368, "cac15cae626d1dce")),
    ("unet_bn", YASSOUALI, [], (130, "1b2bd637cd6b2c6f")),
    ("deeplabv3plus_xception", {}, YASSOUALI_V3PLUS, (848, "514d2fbc97b298c8")),
    ("deeplabv3plus_resnet101", {"variant": "kazuto"}, IN_MSC, (680, "00ca3fac6ca1aab9")),
    ("deeplabv3mg_resnet101", {}, KAZUTO_V3, (662, "4e1582a7bfc0c2c0")),
    ("deeplabv2_resnet101", {}, IN_MSC, (632, "1ef353e328e09d9d")),
    ("deeplabv1_resnet101", {}, KAZUTO, (626, "e297694daf52b3eb")),
]


def renamed(state: State, rules: Rules) -> State:
    found = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        found[name] = value
    return found


def digest(state: State) -> tuple[int, str]:
    lines = sorted(f"{name} {tuple(value.shape)}" for name, value in state.items())
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "options", "rules", "known"), CASES)
def test_a_released_layout_loads_without_a_rest(
    name: str, options: dict[str, Any], rules: Rules, known: tuple[int, str]
) -> None:
    """The digest is of the names and shapes of the released network of 21 classes, sorted."""
    assert digest(renamed(on_meta(name, 21, **options).state_dict(), rules)) == known
    torch.manual_seed(0)
    own, other = (models.build(name, 5, width=4, **options).eval() for _ in range(2))
    report = load_weights(other, renamed(own.state_dict(), rules))
    assert len(report.loaded) == len(own.state_dict())
    assert (report.missing, report.unexpected, report.resized, report.replaced) == ((), (), {}, ())
    x = torch.randn(1, 3, 40, 33)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


@pytest.mark.parametrize(
    ("name", "options", "rules"),
    [
        ("upernet_resnet50", {}, MMSEG_RESNET),
        ("upernet_convnext_tiny", {}, MMSEG_CONVNEXT),
        ("upernet_convnext_tiny", {}, MMSEG_HEADS),
        ("upernet_swin_t", {}, MICROSOFT_SWIN),
        ("upernet_hornet_tiny_gf", {}, MMSEG_HEADS),
        ("upernet_hornet_tiny_7x7", {"fpn": "horfpn"}, MMSEG_HEADS),
        ("upernet_hornet_tiny_7x7", {"fpn": "horfpn_gf"}, MMSEG_HEADS),
    ],
)
def test_mmsegmentations_upernets_load_without_a_rest(name: str, options: dict[str, Any], rules: Rules) -> None:
    torch.manual_seed(0)
    own, other = (models.build(name, 5, **small(name), **options).eval() for _ in range(2))
    state = renamed(own.state_dict(), rules)
    assert {key.partition(".")[0] for key in state} == {"backbone", "decode_head", "auxiliary_head"}
    report = load_weights(other, {"meta": {}, "state_dict": state})
    assert len(report.loaded) == len(own.state_dict())
    assert (report.missing, report.unexpected, report.resized, report.replaced) == ((), (), {}, ())
    x = torch.randn(1, 3, 40, 33)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


@pytest.mark.parametrize("alone", [False, True])
def test_a_swin_that_merges_in_another_order_is_reordered(alone: bool) -> None:
    """OpenMMLab's: of its four places it takes what `unfold` makes of a map."""
    torch.manual_seed(0)
    model: Any = models.build("upernet_swin_t", 5, **small("upernet_swin_t")).eval()
    state = renamed(model.state_dict(), OPENMMLAB_SWIN)
    merges = "backbone.stages.1.downsample"
    weight, bias, reduction = (
        torch.randn_like(state[f"{merges}.{key}"]) for key in ("norm.weight", "norm.bias", "reduction.weight")
    )
    state |= {f"{merges}.norm.weight": weight, f"{merges}.norm.bias": bias, f"{merges}.reduction.weight": reduction}
    state["backbone.stages.0.blocks.0.attn.w_msa.relative_position_index"] = torch.zeros(49, 49).long()
    if alone:
        state = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    report = load_weights(model, state)
    assert (report.unexpected, report.resized, report.replaced) == ((), {}, ())
    assert all(key.startswith(("classifier.", "aux_classifier.")) for key in report.missing)
    assert bool(report.missing) == alone
    x = torch.randn(2, reduction.shape[1] // 4, 6, 8)
    places = functional.unfold(x, 2, stride=2).transpose(1, 2)
    expected = functional.linear(functional.layer_norm(places, weight.shape, weight, bias), reduction)
    found = model.backbone.downsample_layers[2](x)
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), expected)


def test_other_names_are_left() -> None:
    names = {"layer1.0.conv1.weight": "layer1.0.conv1.weight", "a": "backbone.conv1.weight"}
    assert own_layout(names) == names


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("pspnet_resnet50", ("classifier.1.4.", "aux_classifier.4.")),
        ("gcn_resnet50", ("classifier.",)),
        ("upernet_resnet50", ("classifier.head.", "aux_classifier.4.")),
        ("deeplabv3plus_resnet50", ("classifier.head.",)),
        ("deeplabv3plus_xception", ("classifier.head.",)),
        ("deeplabv2_resnet101", ("classifier.",)),
        ("deeplabv1_vgg16", ("fc8.",)),
        ("segnet", ("score.",)),
        ("unet_bn", ("outc.",)),
    ],
)
def test_heads_of_other_classes_stay(name: str, heads: tuple[str, ...]) -> None:
    own, other = (models.build(name, classes, width=4) for classes in (5, 3))
    report = load_weights(other, own.state_dict())
    assert report.replaced == tuple(key for key in other.state_dict() if key.startswith(heads))
    assert (report.missing, report.unexpected) == ((), ())


def test_v2_starts_from_the_weights_of_coco() -> None:
    """As published: those are of the ResNet with one convolution, whose classes are others."""
    own, model = models.build("deeplabv1_resnet101", 9, width=4), models.build("deeplabv2_resnet101", 5, width=4)
    report = load_weights(model, renamed(own.state_dict(), KAZUTO))
    assert report.unexpected == ("fc.weight", "fc.bias")
    assert report.missing == tuple(key for key in model.state_dict() if key.startswith("classifier."))


@pytest.mark.parametrize("name", ["deeplabv1_vgg16", "segnet"])
def test_vgg16s_start_trunks(name: str) -> None:
    """Under torchvision's names, with linear layers that are left."""
    model = models.build(name, 5, width=4)
    trunk = {key: torch.ones_like(value) for key, value in model.state_dict().items() if key.startswith("features.")}
    linear = {f"classifier.{i}.{part}": torch.ones(1) for i in (0, 3, 6) for part in ("weight", "bias")}
    report = load_weights(model, trunk | linear)
    assert set(report.unexpected) == set(linear)
    assert set(report.loaded) == set(trunk)


def test_of_another_variant_the_backbone_is_taken() -> None:
    """Its auxiliary head has other layers, so that the whole does not fit."""
    own, model = (models.build("pspnet_resnet50", 5, width=4, variant=v) for v in ("yassouali", "semseg"))
    report = load_weights(model, own.state_dict())
    assert report.entry == "backbone"
    assert report.missing == tuple(key for key in model.state_dict() if not key.startswith("backbone."))
