"""ResNet against torchvision's names, shapes and counts."""

import hashlib
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.resnet import Backbone, BasicBlock, Bottleneck
from models.weights import check_shapes
from pipeline.base.errors import ZoetropeError


def on_meta(name: str, num_classes: int, **options: Any) -> nn.Module:
    """Shapes without numbers, so that large models cost nothing."""
    with torch.device("meta"):
        return models.build(name, num_classes, **options)


def digest(model: nn.Module) -> tuple[int, str]:
    """How many entries the state dict has, and a hash of their names and shapes in order."""
    lines = [f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items()]
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnext50_32x4d", 25_028_904),
        ("resnext101_32x8d", 88_791_336),
        ("resnext101_64x4d", 83_455_272),
        ("wide_resnet50_2", 68_883_240),
        ("wide_resnet101_2", 126_886_696),
    ],
)
def test_parameters(name: str, params: int) -> None:
    assert count(on_meta(name, 1000)) == params


def test_state_dicts_are_torchvisions() -> None:
    assert digest(on_meta("resnet18", 1000)) == (122, "84fb10d9c6905a1c")
    assert digest(on_meta("resnet50", 1000)) == (320, "d7e4f8bb0a536344")
    assert digest(on_meta("resnet152", 1000)) == (932, "685c66205bc823aa")
    assert digest(on_meta("resnext50_32x4d", 1000)) == (320, "e3bad165c034e60f")
    assert digest(on_meta("resnext101_32x8d", 1000)) == (626, "da7dd7525807e2ee")
    assert digest(on_meta("wide_resnet50_2", 1000)) == (320, "41203d1d536c02ed")
    state = on_meta("resnet50", 1000).state_dict()
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer2.0.conv2.weight"].shape == (128, 128, 3, 3)
    assert state["fc.weight"].shape == (1000, 2048)


@pytest.mark.parametrize(
    ("name", "width", "channels", "groups"),
    [
        ("resnext50_32x4d", 64, [128, 256, 512, 1024], 32),
        ("resnext101_32x8d", 64, [256, 512, 1024, 2048], 32),
        ("resnext101_64x4d", 64, [256, 512, 1024, 2048], 64),
        ("wide_resnet50_2", 64, [128, 256, 512, 1024], 1),
        ("resnext50_32x4d", 8, [16, 32, 64, 128], 4),
        ("resnext101_64x4d", 6, [24, 48, 96, 192], 6),
        ("wide_resnet101_2", 5, [10, 20, 40, 80], 1),
    ],
)
def test_bottlenecks_are_wider_inside_and_in_groups(name: str, width: int, channels: list[int], groups: int) -> None:
    model: Any = on_meta(name, 10, width=width)
    convs = [block.conv2 for stage in model.stages for block in stage]
    assert sorted({conv.out_channels for conv in convs}) == channels
    assert {conv.groups for conv in convs} == {groups}
    assert model.channels == [4 * width * 2**i for i in range(4)]


def test_a_file_of_another_resnet_is_refused() -> None:
    plain, wide = on_meta("resnet50", 10, width=8), on_meta("wide_resnet50_2", 10, width=8)
    with pytest.raises(ZoetropeError, match=r"of another shape: layer1\.0\.conv1\.weight is"):
        check_shapes(plain, wide, "a file")


def test_the_3x3_convolution_strides() -> None:
    block: Any = on_meta("resnet50", 10).get_submodule("layer2.0")
    assert block.conv1.stride == (1, 1)
    assert block.conv2.stride == (2, 2)


@pytest.mark.parametrize(("stem", "size_px"), [("imagenet", 8), ("small", 32)])
def test_stems(stem: str, size_px: int) -> None:
    model: Any = models.build("resnet18", 10, width=16, stem=stem)
    assert model.stem(torch.zeros(1, 3, 32, 32)).shape == (1, 16, size_px, size_px)
    assert model.features(torch.zeros(2, 3, 32, 32)).shape == (2, 128)


@pytest.mark.parametrize(("name", "last"), [("resnet18", "bn2"), ("resnet50", "bn3")])
def test_zero_init_residual_starts_blocks_at_the_identity(name: str, last: str) -> None:
    plain, zero = (models.build(name, 10, width=8, zero_init_residual=z) for z in (False, True))
    blocks = [m for m in zero.modules() if isinstance(m, BasicBlock | Bottleneck)]
    assert len(blocks) == {"resnet18": 8, "resnet50": 16}[name]
    assert all(not getattr(block, last).weight.any() for block in blocks)
    assert all(p.any() for key, p in plain.named_parameters() if f"{last}.weight" in key)


def test_initialisation_follows_fan_out() -> None:
    torch.manual_seed(0)
    conv: Any = models.build("resnet18", 10).get_submodule("layer3.1.conv2")
    assert conv.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = models.build("resnet18", 10, width=8, dropout=0.9)
    x = torch.randn(4, 3, 32, 32)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_an_auxiliary_head_answers_in_training_and_learns() -> None:
    model: Any = models.build("resnet18", 10, width=8, stem="small", auxiliary_head=True)
    x = torch.randn(4, 3, 32, 32)
    logits, auxiliary = model(x)
    assert logits.shape == auxiliary.shape == (4, 10)
    auxiliary.sum().backward()
    assert model.layer3[1].conv2.weight.grad is not None
    assert model.layer4[1].conv2.weight.grad is None
    plain = models.build("resnet18", 10, width=8, stem="small").eval()
    assert models.load_weights(plain, model.state_dict()).unexpected == ("aux_fc.weight", "aux_fc.bias")
    assert torch.equal(model.eval()(x), plain(x))
    report = models.load_weights(
        models.build("resnet18", 3, width=8, stem="small", auxiliary_head=True), model.state_dict()
    )
    assert report.replaced == ("fc.weight", "fc.bias", "aux_fc.weight", "aux_fc.bias")
    report = models.load_weights(model, plain.state_dict())
    assert report.missing == ("aux_fc.weight", "aux_fc.bias")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_adding_the_shortcut_in_place_changes_nothing(kind: type[BasicBlock] | type[Bottleneck], stride: int) -> None:
    block = kind(4 * kind.expansion, 4, stride).train()
    inside = [block.conv2, block.bn2, *([block.conv3, block.bn3] if isinstance(block, Bottleneck) else [])]

    def plainly(x: torch.Tensor) -> torch.Tensor:
        y = block.bn1(block.conv1(x))
        for i, layer in enumerate(inside):
            y = layer(y if i % 2 else y.relu())
        return (y + (x if block.downsample is None else block.downsample(x))).relu()

    found = []
    for run in (block, plainly):
        x = torch.randn(3, 4 * kind.expansion, 6, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
        before = x.detach().clone()
        y = run(x)
        gradients = torch.autograd.grad(y.square().sum(), [x, *block.parameters()])
        assert torch.equal(x, before)
        found.append([y, *gradients])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def backbone(depth: int = 50, seed: int = 0, **options: Any) -> Backbone:
    """In evaluation, with statistics that are not where they start."""
    torch.manual_seed(seed)
    given: dict[str, Any] = {"width": 4, "stem": "imagenet", "zero_init_residual": False, "in_channels": 3}
    model = Backbone(depth, **{**given, "gradient_checkpointing": False, **options}).eval()
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(std=0.1)
    return model


@pytest.mark.parametrize(
    ("options", "channels", "strides"),
    [
        ({"depth": 18}, [4, 8, 16, 32], [4, 8, 16, 32]),
        ({}, [16, 32, 64, 128], [4, 8, 16, 32]),
        ({"output_stride": 16}, [16, 32, 64, 128], [4, 8, 16, 16]),
        ({"output_stride": 8}, [16, 32, 64, 128], [4, 8, 8, 8]),
        ({"output_stride": 8, "stem": "deep"}, [16, 32, 64, 128], [4, 8, 8, 8]),
        ({"output_stride": 8, "stem": "small"}, [16, 32, 64, 128], [1, 2, 4, 8]),
    ],
)
def test_maps_have_the_channels_and_strides_that_are_said(
    options: dict[str, Any], channels: list[int], strides: list[int]
) -> None:
    model = backbone(**options)
    assert (model.channels, model.strides) == (channels, strides)
    with torch.no_grad():
        shapes = [tuple(y.shape) for y in model.maps(torch.zeros(1, 3, 64, 96))]
    assert shapes == [(1, c, 64 // s, 96 // s) for c, s in zip(channels, strides, strict=True)]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_maps_are_what_the_classifier_sees(name: str) -> None:
    torch.manual_seed(0)
    model: Any = models.build(name, 5, width=8).eval()
    seen: list[torch.Tensor] = []
    for stage in model.stages:
        stage[-1].register_forward_hook(lambda _, __, y: seen.append(y.clone()))
    with torch.no_grad():
        x = torch.randn(2, 3, 64, 64)
        features = model.features(x)
        maps = model.maps(x)
    assert all(torch.equal(one, other) for one, other in zip(maps, seen[:4], strict=True))
    assert torch.equal(features, maps[-1].mean((2, 3)))


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("depth", [18, 50])
def test_dilated_stages_find_the_same_between_more_places(depth: int, output_stride: int) -> None:
    """At every second (fourth) place a dilated map is the strided one: the same weights meet the same pixels."""
    strided, dilated = backbone(depth), backbone(depth, seed=1, output_stride=output_stride)
    dilated.load_state_dict(strided.state_dict())
    x = torch.randn(1, 3, 128, 192)
    with torch.no_grad():
        for dense, y, few, many in zip(dilated.maps(x), strided.maps(x), dilated.strides, strided.strides, strict=True):
            step = many // few
            torch.testing.assert_close(dense[:, :, ::step, ::step], y, rtol=1e-4, atol=1e-5)


def test_dilations_are_torchvisions() -> None:
    """Those of its resnet50 with replace_stride_with_dilation=[False, True, True]: a first block's are the old ones."""
    convs: list[Any] = [block.conv2 for stage in backbone(output_stride=8).stages for block in stage]
    assert [conv.dilation[0] for conv in convs] == [*[1, 1, 1], *[1, 1, 1, 1], *[1, 2, 2, 2, 2, 2], *[2, 4, 4]]
    assert [conv.padding[0] for conv in convs] == [conv.dilation[0] for conv in convs]
    assert [i for i, conv in enumerate(convs) if conv.stride == (2, 2)] == [3]


def test_a_dilated_block_sees_places_apart() -> None:
    torch.manual_seed(0)
    block = Bottleneck(64, 16, 1, (2, 4)).eval()
    x = torch.randn(1, 64, 9, 9, requires_grad=True)
    block(x)[0, :, 4, 4].sum().backward()
    assert x.grad is not None
    rows, columns = x.grad[0].abs().sum(0).nonzero(as_tuple=True)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(i, j) for i in (2, 4, 6) for j in (2, 4, 6)}


def test_the_deep_stem_is_pspnets() -> None:
    shapes = {name: tuple(p.shape) for name, p in backbone(width=64, stem="deep").named_parameters() if p.dim() == 4}
    assert list(shapes.items())[:4] == [
        ("conv1.weight", (64, 3, 3, 3)),
        ("conv2.weight", (64, 64, 3, 3)),
        ("conv3.weight", (128, 64, 3, 3)),
        ("layer1.0.conv1.weight", (64, 128, 1, 1)),
    ]
    assert shapes["layer1.0.downsample.0.weight"] == (256, 128, 1, 1)
    model, x = backbone(stem="deep"), torch.randn(1, 3, 32, 32)
    layers: list[Any] = [model.conv1, model.bn1, model.conv2, model.bn2, model.conv3, model.bn3]
    y = x
    for conv, norm in zip(layers[::2], layers[1::2], strict=True):
        y = norm(conv(y)).relu()
    assert torch.equal(model.stem(x), nn.functional.max_pool2d(y, 3, 2, 1))
