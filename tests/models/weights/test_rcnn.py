"""Released layouts of Faster R-CNN: all names, that they load without a rest, and what trunks start from."""

from typing import Any

import pytest
import torch

import models
from models.weights import load_weights
from tests.models.test_resnet import on_meta
from tests.models.weights.test_layouts import Rules, digest, renamed

NARROW = {"width": 8, "channels": 8, "hidden": 8}
# Of torchvision, written the other way than the code has them.
TORCHVISION: Rules = [
    (r"^backbone\.", "backbone.body."),
    (r"^fpn\.laterals\.(\d)\.norm\.", r"backbone.fpn.inner_blocks.\1.1."),
    (r"^fpn\.outputs\.(\d)\.norm\.", r"backbone.fpn.layer_blocks.\1.1."),
    (r"^fpn\.laterals\.(\d)\.", r"backbone.fpn.inner_blocks.\1.0."),
    (r"^fpn\.outputs\.(\d)\.", r"backbone.fpn.layer_blocks.\1.0."),
    (r"^rpn\.conv\.", "rpn.head.conv.0.0."),
    (r"^rpn\.second\.", "rpn.head.conv.1.0."),
    (r"^rpn\.objectness\.", "rpn.head.cls_logits."),
    (r"^rpn\.deltas\.", "rpn.head.bbox_pred."),
    (r"^roi\.scores\.", "roi_heads.box_predictor.cls_score."),
    (r"^roi\.codes\.", "roi_heads.box_predictor.bbox_pred."),
    (r"^roi\.convs\.(\d)\.norm\.", r"roi_heads.box_head.\1.1."),
    (r"^roi\.convs\.(\d)\.", r"roi_heads.box_head.\1.0."),
    (r"^roi\.", "roi_heads.box_head."),
    (r"^mask\.convs\.(\d)\.norm\.", r"roi_heads.mask_head.\1.1."),
    (r"^mask\.convs\.(\d)\.", r"roi_heads.mask_head.\1.0."),
    (r"^mask\.up\.", "roi_heads.mask_predictor.conv5_mask."),
    (r"^mask\.logits\.", "roi_heads.mask_predictor.mask_fcn_logits."),
]
V2: Rules = [*TORCHVISION, (r"box_head\.fc6\.", "box_head.5.")]
FILES_OF_2019: Rules = [
    (r"(_blocks\.\d)\.0\.", r"\1."),
    (r"^rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
    (r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}."),
]


def build(name: str = "fasterrcnn_resnet50_fpn", classes: int = 3, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return models.build(name, classes, **{**NARROW, **options}).eval()


@pytest.mark.parametrize(
    ("name", "norm", "rules", "known"),
    [
        ("fasterrcnn_resnet50_fpn", "frozen", TORCHVISION, (295, "3b48f955f86cbb36")),
        ("fasterrcnn_resnet50_fpn", "batch", TORCHVISION, (348, "74ab186658eb8ca8")),
        ("fasterrcnn_resnet50_fpn_v2", "batch", V2, (404, "6291e443a8fcc99c")),
        ("maskrcnn_resnet50_fpn", "frozen", TORCHVISION, (307, "fac6a17b4d4c2bb9")),
        ("maskrcnn_resnet50_fpn_v2", "batch", V2, (432, "7af6ef1fccb5201b")),
    ],
)
def test_names_and_shapes_of_torchvision(name: str, norm: str, rules: Rules, known: tuple[int, str]) -> None:
    """Of 91 classes, the background among them."""
    assert digest(renamed(on_meta(name, 90, norm=norm).state_dict(), rules)) == known


@pytest.mark.parametrize(
    ("name", "norm", "rules"),
    [
        ("fasterrcnn_resnet50_fpn", "frozen", TORCHVISION),
        ("fasterrcnn_resnet50_fpn", "batch", TORCHVISION),
        ("fasterrcnn_resnet50_fpn", "frozen", [*TORCHVISION, *FILES_OF_2019]),
        ("fasterrcnn_resnet50_fpn_v2", "batch", V2),
        ("maskrcnn_resnet50_fpn", "frozen", TORCHVISION),
        ("maskrcnn_resnet50_fpn", "frozen", [*TORCHVISION, *FILES_OF_2019]),
        ("maskrcnn_resnet50_fpn_v2", "batch", V2),
    ],
)
def test_a_released_layout_loads_without_a_rest(name: str, norm: str, rules: Rules) -> None:
    own, other = build(name, norm=norm), build(name, seed=1, norm=norm)
    state = own.state_dict()
    report = load_weights(other, renamed(state, rules))
    assert len(report.loaded) == len(state)
    assert (report.missing, report.unexpected, report.resized, report.replaced) == ((), (), {}, ())
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in state.items())


def test_norms_start_from_one_anothers() -> None:
    frozen, batch = build(norm="frozen").state_dict(), build(norm="batch").state_dict()
    counts = {name for name in batch if name.endswith("num_batches_tracked")}
    report = load_weights(build(norm="frozen", seed=1), batch)
    assert (set(report.unexpected), report.missing) == (counts, ())
    report = load_weights(build(norm="batch", seed=1), frozen)
    assert (report.unexpected, set(report.missing)) == ((), counts)


def test_the_heads_of_other_classes_stay() -> None:
    own, other = build(), build(classes=5, seed=1)
    report = load_weights(other, renamed(own.state_dict(), TORCHVISION))
    assert set(report.replaced) == {f"roi.{head}.{part}" for head in ("scores", "codes") for part in ("weight", "bias")}
    assert (report.missing, report.unexpected) == ((), ())


@pytest.mark.parametrize(
    ("name", "of", "options"),
    [
        ("fasterrcnn_resnet18_fpn", "resnet18", {"width": 8}),
        ("fasterrcnn_mobilenet_v2_fpn", "mobilenetv2", {"width_mult": 0.1}),
        ("cascade_mask_rcnn_resnet18", "resnet18", {"width": 8}),
    ],
)
@pytest.mark.parametrize("norm", ["frozen", "batch"])
def test_a_classifier_starts_the_trunk(name: str, of: str, options: dict[str, Any], norm: str) -> None:
    torch.manual_seed(2)
    classifier = models.build(of, 7, **options)
    model = models.build(name, 3, channels=8, hidden=8, norm=norm, **options)
    report = load_weights(model, classifier.state_dict())
    assert set(report.loaded) == {key for key in model.state_dict() if key.startswith("backbone.")}
    heads = {key for key in report.unexpected if not key.endswith("num_batches_tracked")}
    assert {key.partition(".")[0] for key in heads} == {"fc" if of == "resnet18" else "classifier"}
    for key in report.loaded:
        assert torch.equal(model.state_dict()[key], classifier.state_dict()[key.removeprefix("backbone.")])
