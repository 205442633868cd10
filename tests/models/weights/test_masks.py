"""Official layouts into models that answer a mask, at small widths: everything accounted for, the rest refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

import models
from models.weights import load_weights
from models.weights.names import read_names
from pipeline.base.errors import ZoetropeError

State = dict[str, Tensor]


def build(name: str, num_classes: int = 5, width: int = 4, **options: Any) -> Any:
    return models.build(name, num_classes, width=width, **options).eval()


def random(shapes: dict[str, tuple[int, ...]]) -> State:
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def trained(name: str, *args: Any, **options: Any) -> Any:
    model = build(name, *args, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


# torchvision's vgg16 and vgg16_bn: the numbers of convolutions, channels in widths of 64.
PLAIN = dict(zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), (1, 1, 2, 2, 4, 4, 4, *[8] * 6), strict=True))
NORMED = dict(zip((0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40), PLAIN.values(), strict=True))


def vgg16(width: int, normed: bool = False) -> State:
    """As in torchvision, `width` in place of 64; fc6 has 49 places of the last map for each of its inputs."""
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for number, widths in (NORMED if normed else PLAIN).items():
        channels = widths * width
        shapes |= {f"features.{number}.weight": (channels, before, 3, 3), f"features.{number}.bias": (channels,)}
        if normed:
            parts = ("weight", "bias", "running_mean", "running_var")
            shapes |= {f"features.{number + 1}.{part}": (channels,) for part in parts}
        before = channels
    for number, (outs, ins) in {0: (64, 8 * 49), 3: (64, 64)}.items():
        shapes |= {
            f"classifier.{number}.weight": (outs * width, ins * width),
            f"classifier.{number}.bias": (64 * width,),
        }
    return random({**shapes, "classifier.6.weight": (1000, 64 * width), "classifier.6.bias": (1000,)})


@pytest.mark.parametrize("name", ["fcn8s_vgg16", "fcn16s_vgg16", "fcn32s_vgg16"])
def test_torchvisions_vgg16_starts_an_fcn(name: str) -> None:
    state, model = vgg16(4), build(name)
    assert len(state) == 32
    report = load_weights(model, state)
    assert (report.family, len(report.loaded)) == ("VGG", 30)
    assert report.unexpected == ("classifier.6.weight", "classifier.6.bias")
    assert report.missing == tuple(key for key in model.state_dict() if key.startswith(("score.", "upscore.")))
    assert report.resized == {
        "classifier.0.weight": ((256, 1568), (256, 32, 7, 7)),
        "classifier.3.weight": ((256, 256), (256, 256, 1, 1)),
    }


def test_fc6_answers_one_place_as_the_linear_layer_did() -> None:
    state, model = vgg16(4), build("fcn8s_vgg16")
    load_weights(model, state)
    x = torch.randn(1, 32, 7, 7)
    expected = torch.nn.functional.linear(x.flatten(1), state["classifier.0.weight"], state["classifier.0.bias"])
    torch.testing.assert_close(model.classifier[0](x).flatten(1), expected, rtol=1e-4, atol=1e-4)


def test_vgg16s_of_another_kind_are_refused() -> None:
    with pytest.raises(ZoetropeError, match="look like those of a VGG with batch norms, the model is a VGG; their"):
        load_weights(build("fcn8s_vgg16"), vgg16(4, normed=True))
    with pytest.raises(ZoetropeError, match=r"features\.0\.weight is \(8, 3, 3, 3\), the model has \(4, 3, 3, 3\)"):
        load_weights(build("fcn8s_vgg16"), vgg16(8))
    cut = {**vgg16(4), "classifier.0.weight": torch.ones(256, 32 * 48)}  # of another number of places
    with pytest.raises(ZoetropeError, match=r"1 of another shape: classifier\.0\.weight is \(256, 1536\)"):
        load_weights(build("fcn8s_vgg16"), cut)


def pytorch_segmentations(state: State) -> State:
    """FCN-8s under the names that pytorch-segmentation gives: three parts of the trunk count from 0 each."""
    firsts = {"pool3": 0, "pool4": 17, "pool5": 24}
    parts = {"classifier": "output", "score.fc7": "output.6", "score.pool3": "adj_pool3", "score.pool4": "adj_pool4"}
    parts |= {"upscore.pool4": "up_output", "upscore.pool3": "up_pool4_out", "upscore.x8": "up_final"}
    renamed = {}
    for name, value in state.items():
        if name.startswith("features."):
            _, number, kind = name.split(".")
            part = max((p for p, first in firsts.items() if first <= int(number)), key=firsts.__getitem__)
            renamed[f"{part}.{int(number) - firsts[part]}.{kind}"] = value
        else:
            part = next(part for part in parts if name.startswith(f"{part}."))
            renamed[name.replace(part, parts[part], 1)] = value
    return renamed


def test_pytorch_segmentations_fcn8s() -> None:
    own, other = trained("fcn8s_vgg16"), build("fcn8s_vgg16")
    state = pytorch_segmentations(own.state_dict())
    assert {"pool3.14.weight", "pool4.4.bias", "pool5.0.weight", "output.3.bias", "output.6.weight"} < set(state)
    assert len(state) == 39
    report = load_weights(other, state)
    assert (len(report.loaded), report.missing, report.unexpected) == (39, (), ())
    x = torch.randn(1, 3, 40, 33)
    assert torch.equal(own(x), other(x))


def test_an_fcn_starts_from_a_coarser_one() -> None:
    """As published: 16s is trained from 32s, 8s from 16s."""
    report = load_weights(build("fcn16s_vgg16"), trained("fcn32s_vgg16").state_dict())
    assert report.missing == ("score.pool4.weight", "score.pool4.bias", "upscore.pool4.weight", "upscore.x16.weight")
    assert report.unexpected == ("upscore.x32.weight",)
    report = load_weights(build("fcn8s_vgg16"), trained("fcn16s_vgg16").state_dict())
    assert report.missing == ("score.pool3.weight", "score.pool3.bias", "upscore.pool3.weight", "upscore.x8.weight")
    state = {name: value for name, value in trained("fcn8s_vgg16").state_dict().items() if name != "score.pool3.bias"}
    with pytest.raises(ZoetropeError, match=r"1 missing: score\.pool3\.bias"):
        load_weights(build("fcn8s_vgg16"), state)


def test_other_classes_of_an_fcn() -> None:
    model = build("fcn8s_vgg16", 7)
    report = load_weights(model, trained("fcn8s_vgg16").state_dict())
    assert report.replaced == tuple(name for name in model.state_dict() if name.startswith(("score.", "upscore.")))
    # No kernel of 3 classes' is taken for one of a fitting shape.
    with pytest.raises(ZoetropeError, match=r"upscore\.x8\.weight is \(5, 5, 15, 15\)"):
        load_weights(build("fcn8s_vgg16"), {**model.state_dict(), "upscore.x8.weight": torch.ones(5, 5, 15, 15)})


def test_a_classifier_starts_deeplab() -> None:
    own, model = trained("resnet50", 1000, 8), build("deeplabv3_resnet50", width=8)
    report = load_weights(model, own.state_dict())
    assert report.family == "ResNet"
    assert report.unexpected == ("fc.weight", "fc.bias")
    assert report.missing == tuple(name for name in model.state_dict() if not name.startswith("backbone."))
    assert len(report.loaded) == 318
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(model.backbone.stem(x), own.stem(x))


def test_torchvisions_deeplab_with_other_classes_and_heads() -> None:
    """Names that torchvision gives, which are the model's own; the test of the model has all of them."""
    own = trained("deeplabv3_resnet50")
    common = read_names(own.state_dict()).common
    assert common["backbone.layer4.2.bn3.weight"] == "layer4.2.bn3.weight"
    assert common["classifier.1.weight"] == "mask.1.weight"
    assert common["classifier.4.bias"] == "mask_head.bias"
    assert common["aux_classifier.4.bias"] == "aux_fc.4.bias"

    report = load_weights(build("deeplabv3_resnet50", 3), own.state_dict())
    heads = ("classifier.4.weight", "classifier.4.bias", "aux_classifier.4.weight", "aux_classifier.4.bias")
    assert (report.replaced, report.missing, report.unexpected) == (heads, (), ())
    plain = build("deeplabv3_resnet50", auxiliary_head=False)
    report = load_weights(plain, {f"module.{name}": value for name, value in own.state_dict().items()})
    assert len(report.unexpected) == 8
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(own(x), plain(x))
    assert len(load_weights(own, plain.state_dict()).missing) == 8
    # Another stride is another use of the same weights.
    assert len(load_weights(build("deeplabv3_resnet50", output_stride=16), own.state_dict()).loaded) == 370
    plain_backbone = {f"net.{name}": value for name, value in own.backbone.state_dict().items()}
    assert len(load_weights(build("deeplabv3_resnet50"), plain_backbone).loaded) == 318


def test_torchvisions_fcn_resnet50_starts_the_backbone() -> None:
    own = trained("deeplabv3_resnet50").state_dict()
    head = {"classifier.0.weight": (8, 128, 3, 3), "classifier.1.weight": (8,), "classifier.4.weight": (5, 8, 1, 1)}
    fcn = {name: value for name, value in own.items() if not name.startswith("classifier.")} | random(head)
    report = load_weights(build("deeplabv3_resnet50"), fcn)
    assert (report.entry, len(report.loaded)) == ("backbone", 318)
    assert set(head) < set(report.unexpected)


def test_torchvisions_fcn_resnet50_with_other_classes() -> None:
    own, model = trained("fcn_resnet50"), build("fcn_resnet50", 3)
    report = load_weights(model, own.state_dict())
    heads = ("classifier.4.weight", "classifier.4.bias", "aux_classifier.4.weight", "aux_classifier.4.bias")
    assert (report.replaced, report.missing, report.unexpected) == (heads, (), ())
    report = load_weights(build("fcn_resnet50", auxiliary_head=False), own.state_dict())
    assert all(name.startswith("aux_classifier.") for name in report.unexpected)


def test_a_deeplab_starts_a_classifier() -> None:
    report = load_weights(build("resnet50"), trained("deeplabv3_resnet50").state_dict())
    assert (report.entry, len(report.loaded), report.missing) == ("backbone", 318, ("fc.weight", "fc.bias"))


def milesials(state: State) -> State:
    """The padded U-Net under the names of Pytorch-UNet."""
    renamed = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        if part == "inc":
            name = f"inc.double_conv.{rest}"
        elif part.startswith("down"):
            name = f"{part}.maxpool_conv.1.double_conv.{rest}"
        elif part.startswith("up"):
            name = name.replace(".conv.", ".conv.double_conv.")
        else:
            name = f"outc.conv.{rest}"
        renamed[name] = value
    return renamed


def test_pytorch_unets_weights() -> None:
    own, other = trained("unet_bn"), build("unet_bn")
    state = milesials(own.state_dict())
    assert {"down4.maxpool_conv.1.double_conv.3.weight", "up1.up.bias", "up4.conv.double_conv.4.running_var"} < set(
        state
    )
    report = load_weights(other, state)
    assert (report.family, report.missing, report.unexpected) == ("U-Net", (), ())
    x = torch.randn(1, 3, 40, 33)
    assert torch.equal(own(x), other(x))
    report = load_weights(build("unet_bn", 2, in_channels=1), state)
    assert report.replaced == ("outc.weight", "outc.bias")
    assert report.resized == {"inc.0.weight": ((4, 3, 3, 3), (4, 1, 3, 3))}


def test_a_unet_of_another_kind_is_refused() -> None:
    with pytest.raises(ZoetropeError, match=r"not this model's \(U-Net\): .*missing: .*inc\.2\.weight"):
        load_weights(build("unet"), trained("unet_bn").state_dict())
