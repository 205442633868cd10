"""Released layouts of SSD: all names, that they load without a rest, and what trunks start from."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

import models
from models.weights import load_weights
from pipeline.base.errors import ZoetropeError
from tests.models.test_resnet import on_meta
from tests.models.weights.test_layouts import Rules, digest, renamed

State = dict[str, Tensor]
DIGEST = (71, "37b8309da6ce732d")
TORCHVISION_CONV5 = {24: 1, 26: 3, 28: 5}
TORCHVISION: Rules = [
    (r"^norm\.weight$", "backbone.scale_weight"),
    (r"^features\.(2[468])\.", lambda found: f"backbone.extra.0.{TORCHVISION_CONV5[int(found[1])]}."),
    (r"^features\.", "backbone.features."),
    (r"^fc\.0\.", "backbone.extra.0.7.1."),
    (r"^fc\.2\.", "backbone.extra.0.7.3."),
    (r"^extras\.(\d)\.", lambda found: f"backbone.extra.{int(found[1]) + 1}."),
    (r"^boxes\.", "head.regression_head.module_list."),
    (r"^scores\.", "head.classification_head.module_list."),
]
# Of ssd.pytorch: convolutions of the trunk by their numbers, then pairs.
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33)
OURS = [f"features.{number}" for number in CONVOLUTIONS[:13]] + ["fc.0", "fc.2"]


def ssd_pytorch(state: State) -> State:
    """Under the names of ssd.pytorch, written out."""
    theirs = {f"vgg.{number}": ours for number, ours in zip(CONVOLUTIONS, OURS, strict=True)}
    theirs |= {f"extras.{2 * i + j}": f"extras.{i}.{2 * j}" for i in range(4) for j in range(2)}
    theirs |= {f"{head}.{i}": f"{ours}.{i}" for head, ours in (("loc", "boxes"), ("conf", "scores")) for i in range(6)}
    found = {f"{name}.{part}": state[f"{ours}.{part}"] for name, ours in theirs.items() for part in ("weight", "bias")}
    return {**found, "L2Norm.weight": state["norm.weight"]}


def build(name: str = "ssd300_vgg16", classes: int = 3, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    narrow = {"width_mult": 0.1} if name == "ssd_mobilenet_v2" else {"width": 4}
    return models.build(name, classes, **{**narrow, **options}).eval()


def test_names_and_shapes_of_torchvision() -> None:
    """Of its SSD300 with 91 classes, the background among them."""
    state = renamed(on_meta("ssd300_vgg16", 90).state_dict(), TORCHVISION)
    assert digest(state) == DIGEST


def test_names_of_ssd_pytorch() -> None:
    assert len(ssd_pytorch(on_meta("ssd300_vgg16", 20).state_dict())) == 71


@pytest.mark.parametrize("layout", ["torchvision", "ssd.pytorch"])
def test_a_released_layout_loads_without_a_rest(layout: str) -> None:
    own, other = build(), build(seed=1)
    state = own.state_dict()
    report = load_weights(other, renamed(state, TORCHVISION) if layout == "torchvision" else ssd_pytorch(state))
    assert len(report.loaded) == len(state)
    assert (report.missing, report.unexpected, report.resized, report.replaced) == ((), (), {}, ())
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in state.items())


def test_a_place_is_laid_out_as_in_the_releases() -> None:
    """Both view a head's channels [boxes, numbers]: the last of three places' second box has channels 4 to 7."""
    model = build()
    x = torch.randn(1, 3, 300, 300)
    with torch.no_grad():
        model.boxes[5].bias.copy_(torch.arange(16.0))
        model.boxes[5].weight.zero_()
        codes = model(x)["codes"][0, -4:]
    assert codes.tolist() == torch.arange(16.0).view(4, 4).tolist()


def test_the_head_of_other_classes_stays() -> None:
    own, other = build(), build(classes=5, seed=1)
    report = load_weights(other, renamed(own.state_dict(), TORCHVISION))
    assert report.replaced == tuple(name for name in other.state_dict() if name.startswith("scores."))
    assert (report.missing, report.unexpected) == ((), ())
    same = build(seed=1)
    before = same.scores[0].weight.clone()
    report = load_weights(same, own.state_dict(), new_head=True)
    assert {name.partition(".")[0] for name in report.replaced} == {"scores"}
    assert torch.equal(same.scores[0].weight, before)
    assert torch.equal(same.boxes[0].weight, own.boxes[0].weight)


def test_the_reduced_trunk() -> None:
    """vgg16_reducedfc.pth: fifteen convolutions by their numbers."""
    own, other = build(), build(seed=1)
    state = {name.removeprefix("vgg."): value for name, value in ssd_pytorch(own.state_dict()).items()}
    state = {name: value for name, value in state.items() if name[0].isdigit()}
    assert len(state) == 30
    report = load_weights(other, state)
    assert set(report.loaded) == {f"{name}.{part}" for name in OURS for part in ("weight", "bias")}
    assert set(report.missing) == set(own.state_dict()) - set(report.loaded)
    assert torch.equal(other.fc[2].weight, own.fc[2].weight)
    del state["31.bias"]
    with pytest.raises(ZoetropeError, match=r"1 missing: fc\.0\.bias"):
        load_weights(other, state)


@pytest.mark.parametrize(
    ("name", "of", "options"),
    [
        ("ssd300_vgg16", "vgg16", {"width": 4}),
        ("ssd512_vgg16", "vgg16", {"width": 4}),
        ("ssd_mobilenet_v2", "mobilenetv2", {"width_mult": 0.1}),
    ],
)
def test_a_classifier_starts_the_trunk(name: str, of: str, options: dict[str, Any]) -> None:
    torch.manual_seed(2)
    classifier, model = models.build(of, 7, **options), build(name)
    state = {re.sub(r"^trunk\.", "features.", key): value for key, value in classifier.state_dict().items()}
    report = load_weights(model, state)
    assert set(report.loaded) == {key for key in model.state_dict() if key.startswith("features.")}
    assert set(report.unexpected) == {key for key in state if key.startswith("classifier.")}
    assert report.replaced == ()
    assert all(torch.equal(model.state_dict()[key], state[key]) for key in report.loaded)


def test_batch_norms_start_from_theirs() -> None:
    classifier, model = models.build("vgg16_bn", 7, width=4), build(batch_norm=True)
    report = load_weights(model, classifier.state_dict())
    assert set(report.loaded) == {key for key in model.state_dict() if key.startswith("features.")}
    with pytest.raises(ZoetropeError):
        load_weights(build(), classifier.state_dict())


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        *(("ssd300_vgg16", key) for key in ("extras.1.2.weight", "norm.weight", "boxes.3.bias", "scores.0.weight")),
        *(("ssd_mobilenet_v2", key) for key in ("features.1.conv.1.weight", "extras.0.6.weight", "scores.0.3.weight")),
    ],
)
def test_a_file_that_lacks_a_layer_is_refused(name: str, lacking: str) -> None:
    model = build(name)
    state = model.state_dict()
    del state[lacking]
    with pytest.raises(ZoetropeError, match=f"1 missing: {re.escape(lacking)}"):
        load_weights(model, state)


def test_one_network_is_not_the_other() -> None:
    with pytest.raises(ZoetropeError, match="not this model's"):
        load_weights(build("ssd512_vgg16"), build().state_dict())
