"""Faster R-CNN: the published counts, what is proposed, learned from and decoded."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import models
from models.complexity import complexity, count_parameters
from models.norms import FrozenBatchNorm2d, normed
from models.ops.boxes import centred, encode, overlaps
from models.rcnn import FasterRCNN
from pipeline.base.errors import ZoetropeError
from pipeline.exported.operators import onnx_operators
from tests.models.exported import assert_onnx_agrees
from tests.models.small import small
from tests.models.test_resnet import on_meta
from tests.models.test_ssd_loss import targets

LIGHT = "fasterrcnn_resnet18_fpn"


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 41_755_286),
        ({"norm": "batch"}, 41_808_406),
        ({"norm": "group"}, 41_808_406),
        ({"fpn": "horfpn"}, 41_755_286 - 4 * (590_080 - 249_600)),
    ],
)
def test_parameters(options: dict[str, Any], parameters: int) -> None:
    """As published for 91 classes, the background among them: frozen norms learn nothing."""
    assert count_parameters(on_meta("fasterrcnn_resnet50_fpn", 90, **options)) == parameters


@pytest.mark.parametrize(
    ("name", "classes", "options", "parameters"),
    [
        ("fasterrcnn_resnet50_fpn_v2", 90, {}, 43_712_278),
        ("maskrcnn_resnet50_fpn", 90, {}, 44_401_393),
        ("maskrcnn_resnet50_fpn", 90, {"norm": "batch"}, 44_454_513),
        ("maskrcnn_resnet50_fpn_v2", 90, {}, 46_359_409),
        ("cascade_rcnn_resnet50", 80, {"norm": "batch"}, 69_394_766),
        ("cascade_mask_rcnn_resnet50", 80, {"norm": "batch"}, 77_324_606),
        ("cascade_mask_rcnn_swin_t", 80, {}, 85_629_804),
        ("cascade_mask_rcnn_hornet_tiny_7x7", 80, {}, 79_883_634),
    ],
)
def test_parameters_of_others(name: str, classes: int, options: dict[str, Any], parameters: int) -> None:
    """Of torchvision, mmdet and the releases of Swin and HorNet."""
    assert count_parameters(on_meta(name, classes, **options)) == parameters


def test_parameters_of_the_parts() -> None:
    model: Any = on_meta("fasterrcnn_resnet50_fpn", 90, norm="batch")
    pooled = sum(count_parameters(one) for one in (model.roi.fc6, model.roi.fc7))
    assert count_parameters(model.backbone) + count_parameters(model.fpn) == 26_852_416
    assert (count_parameters(model.rpn), pooled) == (593_935, 13_895_680)
    assert count_parameters(model.roi) - pooled == 466_375


def build(name: str = LIGHT, **options: Any) -> FasterRCNN:
    torch.manual_seed(0)
    model = models.build(name, 3, **{**small(name), **options})
    assert isinstance(model, FasterRCNN)
    return model


def test_maps_are_those_of_the_strides() -> None:
    for name in (LIGHT, "fasterrcnn_mobilenet_v2_fpn"):
        maps = build(name).backbone.maps(torch.zeros(1, 3, 64, 96))
        assert [one.shape[2:] for one in maps] == [(64 // s, 96 // s) for s in (4, 8, 16, 32)]
        assert [one.shape[1] for one in maps] == build(name).backbone.channels


def test_proposals_by_hand() -> None:
    """Two anchors that overlap, one elsewhere and one outside of the picture: the second of the pair goes."""
    model = build(proposals=(9, 4)).eval()
    anchors = torch.tensor([[0.0, 0, 20, 20], [1, 1, 21, 21], [40, 40, 60, 60], [70, 70, 90, 90]])
    logits = torch.tensor([[2.0, 3, 1, 9]])
    rois, there = model._proposals([(logits, torch.zeros(1, 4, 4))], anchors, (50, 64))
    assert there.tolist() == [[True, True, False, False]]
    assert rois.tolist() == [[[1, 1, 21, 21], [40, 40, 60, 50], [0] * 4, [0] * 4]]
    # Boxes of different levels let each other be, and the best of all are kept.
    levels = [(one, torch.zeros(1, 2, 4)) for one in logits.split(2, 1)]
    model.proposals = (9, 1)
    rois, _ = model._proposals(levels, anchors, (50, 64))
    assert rois.tolist() == [[[1, 1, 21, 21]]]


def test_proposals_lie_in_the_picture_and_not_in_what_it_is_filled_up_with() -> None:
    heads = build().eval()(torch.randn(2, 3, 40, 70))
    boxes = heads["rois"][heads["there"]]
    assert len(boxes) > 10
    assert (boxes >= 0).all()
    assert (boxes[:, 2].max(), boxes[:, 3].max()) <= (70, 40)
    assert heads["anchors"].shape == (2, 3 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2), 4)
    found = overlaps(heads["rois"], heads["rois"]).triu(1)
    assert found.isfinite().all()


def test_in_training_objects_are_looked_at() -> None:
    given = targets([([4, 4, 40, 30], 2, 0)], []) | {"key": torch.tensor([1, 2])}
    model = build()
    heads = model(torch.randn(2, 3, 64, 64), given)
    assert heads["rois"].shape == (2, 16, 4)
    assert [4.0, 4.0, 40.0, 30.0] in heads["rois"][0].tolist()
    counts = model.counts(given, (64, 64))
    assert {name: count.tolist() for name, count in counts.items()} == {
        "objectness": [256, 256],
        "anchors": [256, 256],
        "classes": [16, 16],
        "boxes": [16, 16],
    }
    parts = model.losses(heads, given)
    assert parts.keys() == counts.keys()
    torch.stack([part.sum() for part in parts.values()]).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    # The same key draws the same, another one another.
    with torch.no_grad():
        alone = model.eval()(torch.zeros(1, 3, 64, 64))
        one = {name: value[:1] for name, value in given.items()}
        first, second, third = (
            float(model.losses(alone, {**one, "key": torch.tensor([key])})["objectness"]) for key in (1, 1, 3)
        )
    assert first == second != third


def test_what_is_encoded_is_found() -> None:
    """Heads that say one object each of two pictures, the second partly outside; a place that is empty says nothing."""
    model, size = build().eval(), (96, 128)
    with torch.no_grad():
        heads = model(torch.zeros(2, 3, *size))
    heads["there"] = torch.ones_like(heads["there"])
    heads["rois"] = torch.tensor([8.0, 8, 40, 40]).expand_as(heads["rois"])
    boxes = torch.tensor([[10.0, 20.0, 60.0, 70.0], [100.0, 40.0, 140.0, 90.0]])
    aims = encode(centred(boxes)[:, None], centred(heads["rois"]))
    heads["codes"] = torch.zeros_like(heads["codes"])
    heads["codes"][0, :, 12:16], heads["codes"][1, :, 4:8] = aims[0], aims[1]
    heads["scores"] = torch.zeros_like(heads["scores"])
    heads["scores"][..., 0] = 20
    heads["scores"][0, 7, 3] = heads["scores"][1, 9, 1] = 25
    heads["scores"][0, 8, 3] = 24  # the same box once more
    heads["scores"][1, 3, 2], heads["there"][1, 3] = 30, False
    answer = model.decode(heads, size, 3)
    assert answer["kind"].tolist() == [[2, -1, -1], [0, -1, -1]]
    torch.testing.assert_close(answer["boxes"][0, 0], boxes[0], rtol=0, atol=1e-3)
    torch.testing.assert_close(answer["boxes"][1, 0], torch.tensor([100.0, 40.0, 128.0, 90.0]), rtol=0, atol=1e-3)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 48, 1), nn.BatchNorm2d(48))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_frozen_norms_are_batch_norms_in_evaluation() -> None:
    batch, x = Small(), torch.randn(2, 3, 4, 4)
    for _ in range(3):
        batch(x)
    nn.init.normal_(batch.get_parameter("layers.1.weight"))
    frozen = normed(Small(), "frozen", 1e-5)
    frozen.load_state_dict(batch.state_dict(), strict=False)
    torch.testing.assert_close(frozen(x), batch.eval()(x))
    assert count_parameters(frozen) == count_parameters(batch) - 96
    layer: Any = normed(Small(), "frozen", 0.0).get_submodule("layers.1")
    assert isinstance(layer, FrozenBatchNorm2d)
    assert layer(x.new_ones(1, 48, 1, 1).bfloat16()).dtype == torch.bfloat16


def test_other_norms() -> None:
    layer: Any = normed(Small(), "group", 1e-5).get_submodule("layers.1")
    assert (layer.num_groups, layer.num_channels) == (16, 48)
    layer = normed(Small(), "batch", 1e-3).get_submodule("layers.1")
    assert layer.eps == 1e-3
    with pytest.raises(ZoetropeError, match=r"anchor_px=.*above 0"):
        models.check_options(LIGHT, anchor_px=(0, 1, 2, 3, 4))


@pytest.mark.parametrize("fpn", ["horfpn", "horfpn_gf"])
def test_horfpn(fpn: str) -> None:
    model = build(fpn=fpn)
    heads = model(torch.randn(2, 3, 64, 64))
    torch.stack([heads[name].square().sum() for name in ("codes", "scores", "deltas", "objectness")]).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_published_cost() -> None:
    """Of torchvision, 134.4 at 800 px."""
    assert complexity("fasterrcnn_resnet50_fpn", 90).multiply_adds / 1e9 == pytest.approx(134.38, abs=0.5)


TRACED = ("fasterrcnn_resnet18_fpn", "fasterrcnn_mobilenet_v2_fpn", "maskrcnn_resnet50_fpn_v2")
"""Whole answers of a mask head and of a cascade are below; `test_upernet` has the other backbones."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACED)
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)


def painted(given: Any, size: int = 64) -> Any:
    """Targets whose objects' masks are their boxes."""
    layers = torch.zeros(len(given["kind"]), 1, size, size, dtype=torch.int16)
    for i, boxes in enumerate(given["boxes"].long().tolist()):
        for place, (x0, y0, x1, y1) in enumerate(boxes, 1):
            layers[i, 0, y0:y1, x0:x1] = place
    return given | {"layers": layers}


@pytest.mark.parametrize(
    "name", ["maskrcnn_resnet18_fpn", "cascade_mask_rcnn_resnet18", "cascade_mask_rcnn_convnext_tiny"]
)
def test_masks_are_learned_in_training_and_found_else(name: str) -> None:
    given = painted(targets([([4, 4, 40, 30], 2, 0)], []) | {"key": torch.tensor([1, 2])})
    model = build(name)
    heads = model(torch.randn(2, 3, 64, 64), given)
    stages = (3,) if name.startswith("cascade") else ()
    assert heads["rois"].shape == (2, 16, *stages, 4)
    assert heads["masks"].shape[:2] == (2, 4)
    boxes = heads["rois"] if not stages else heads["rois"][:, :, -1]
    assert overlaps(boxes[0, :1], given["boxes"][0, :1]) >= (0.7 if stages else 0.5)  # objects' boxes are the first
    counts, parts = model.counts(given, (64, 64)), model.losses(heads, given)
    assert counts["masks"].tolist() == [1, 0]
    assert parts.keys() == counts.keys()
    assert parts["masks"][0] > 0
    assert parts["masks"][1] == 0
    torch.stack([part.sum() for part in parts.values()]).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.no_grad():
        heads = model.eval()(torch.randn(2, 3, 64, 64))
        heads["rois"][:, 0] = torch.tensor([4.0, 4, 40, 30])
        heads["there"][:, 0] = True
        assert model.losses(heads, given)["masks"][0] > 0  # of the model's own proposals
        answer = model.decode(heads, (64, 64), 5, threshold=0.0)
    assert answer["masks"].shape == (2, 5, 28, 28)
    assert ((answer["masks"] >= 0) & (answer["masks"] <= 1)).all()
    assert not answer["masks"][answer["kind"] < 0].any()


def test_a_stage_looks_at_the_boxes_of_the_one_before() -> None:
    """The codes of one are the last one's boxes; in training the object itself is not handed on."""
    from models.cascade_rcnn import VARIANCES, CascadeRCNN

    model: Any = build("cascade_rcnn_resnet18")
    assert isinstance(model, CascadeRCNN)
    assert [(one.high, one.low, one.variances, one.beta) for one in model.samplings] == [
        (0.5, 0.5, (0.1, 0.2), 1.0),
        (0.6, 0.6, (0.05, 0.1), 1.0),
        (0.7, 0.7, (0.033, 0.067), 1.0),
    ]
    rois, aims = (
        torch.tensor([[[8.0, 8, 24, 24], [10, 20, 30, 60]]]),
        torch.tensor([[[8.0, 12, 28, 24], [0, 20, 40, 50]]]),
    )
    codes = encode(centred(aims), centred(rois), VARIANCES[0])
    heads = {"rois": rois, "there": torch.ones(1, 2, dtype=torch.bool), "scores": torch.zeros(1, 2, 4), "codes": codes}
    moved, there = model._refined(heads, model.samplings[0], (64, 64), None)
    torch.testing.assert_close(moved, aims)
    assert there.all()
    given = targets([([10, 20, 30, 60], 2, 0)])
    moved, there = model._refined(heads, model.samplings[0], (64, 64), given)
    assert there.tolist() == [[True, False]]
    assert not moved[0, 1].any()


def test_a_cascade_says_the_mean_of_its_stages() -> None:
    model: Any = build("cascade_rcnn_resnet18").eval()
    rois = torch.tensor([8.0, 8, 40, 40]).expand(1, 1, 3, 4)
    scores = torch.tensor([[0.0, 9, 0, 0], [0, 0, 6, 0], [0, 6, 0, 0]])[None, None]
    heads = {
        "rois": rois,
        "there": torch.ones(1, 1, 3, dtype=torch.bool),
        "scores": scores,
        "codes": torch.zeros(1, 1, 3, 4),
    }
    boxes, said = model._boxes(heads, (64, 64))
    assert boxes.tolist() == [[[8, 8, 40, 40]]]
    torch.testing.assert_close(said[0, 0], scores.mean(2)[0, 0].softmax(0)[1:])


class Found(nn.Module):
    """What is found in pictures, as a file answers it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.model.decode(self.model(x), x.shape[2:], 10, threshold=0.0)
        return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maskrcnn_resnet18_fpn", "cascade_mask_rcnn_resnet18"])
def test_onnx_of_masks(name: str, tmp_path: Path) -> None:
    model, x = Found(build(name)).eval(), torch.randn(2, 3, 48, 64)
    with torch.no_grad():
        expected = model(x)
    torch.onnx.export(model, (x,), tmp_path / "m.onnx", input_names=["x"], custom_translation_table=onnx_operators())
    found = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": x.numpy()})
    assert expected["masks"].max() > 0
    for said, (key, right) in zip(found, expected.items(), strict=True):
        torch.testing.assert_close(torch.from_numpy(said), right, rtol=1e-3, atol=1e-4, msg=key)


def test_boxes_that_are_no_numbers_do_not_end_in_an_index_out_of_range() -> None:
    """A training that diverges is told by its loss."""
    model = build()
    with torch.no_grad():
        torch.nn.init.constant_(model.rpn.deltas.get_parameter("bias"), torch.nan)
        heads = model(torch.randn(1, 3, 64, 64), targets([([4, 4, 40, 30], 2, 0)]) | {"key": torch.tensor([1])})
        parts = model.losses(heads, targets([([4, 4, 40, 30], 2, 0)]) | {"key": torch.tensor([1])})
    assert any(bool(part.isnan().any()) for part in parts.values())
