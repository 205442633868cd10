"""SSD: the published counts, maps and priors, and what is decoded."""

from pathlib import Path
from typing import Any

import pytest
import torch

import models
from models.complexity import complexity, count_parameters
from models.ops.boxes import centred, encode
from models.ops.detections import detections
from models.ssd_vgg import published_priors
from pipeline.base.errors import ZoetropeError
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("ssd300_vgg16", 20, 26_285_486),
        ("ssd300_vgg16", 80, 34_305_206),
        ("ssd300_vgg16", 90, 35_641_826),
        ("ssd512_vgg16", 20, 27_188_676),
        ("ssd512_vgg16", 80, 36_038_196),
        ("ssd512_vgg16", 90, 37_513_116),
    ],
)
def test_parameters(name: str, classes: int, parameters: int) -> None:
    """As published: the background is one class more."""
    assert count_parameters(on_meta(name, classes)) == parameters


def test_published_cost() -> None:
    assert complexity("ssd300_vgg16", 20).multiply_adds / 1e9 == pytest.approx(31.37, abs=0.02)


@pytest.mark.parametrize(
    ("name", "options", "side", "maps", "priors"),
    [
        ("ssd300_vgg16", {"width": 4}, 300, [38, 19, 10, 5, 3, 1], 8732),
        ("ssd512_vgg16", {"width": 4}, 512, [64, 32, 16, 8, 4, 2, 1], 24564),
        ("ssd300_vgg16", {"width": 4, "batch_norm": True}, 257, [33, 17, 9, 5, 3, 1], 6766),
        ("ssd512_vgg16", {"width": 4}, 257, [33, 17, 9, 5, 3, 2, 1], 6800),
        ("ssd_mobilenet_v2", {}, 320, [20, 10, 5, 3, 2, 1], 6 * 539),
        ("ssd_mobilenet_v2", {"stride": 8}, 192, [24, 12, 6, 3, 2, 1], 6 * 770),
    ],
)
def test_maps(name: str, options: dict[str, Any], side: int, maps: list[int], priors: int) -> None:
    model: Any = on_meta(name, 2, **options).eval()
    x = torch.empty(1, 3, side, side + 30, device="meta")
    found = model.maps(x)
    assert [one.shape[2] for one in found] == maps == model.sides(side)
    assert [one.shape[3] for one in found] == model.sides(side + 30)
    assert model(x[..., :side])["codes"].shape == (1, priors, 4)


@pytest.mark.parametrize("name", ["ssd300_vgg16", "ssd512_vgg16", "ssd_mobilenet_v2"])
def test_sides_are_counted_as_maps_come_out(name: str) -> None:
    model: Any = on_meta(name, 2, **{"width" if "vgg" in name else "width_mult": 4 if "vgg" in name else 0.1}).eval()
    for side in range(257, 600, 11):  # every rest of 32
        assert [one.shape[2] for one in model.maps(torch.empty(1, 3, side, 257, device="meta"))] == model.sides(side)


def test_published_priors() -> None:
    """In px of 300: ssd.pytorch's minimum sizes of VOC and of COCO, and torchvision's, whose centres go beyond."""
    voc = [30, 60, 111, 162, 213, 264, 315]
    coco = [21, 45, 99, 153, 207, 261, 315]
    for published, sizes in (("voc", voc), ("coco", coco), ("torchvision", coco)):
        priors = published_priors(300, published)  # type: ignore[arg-type]
        assert [round(300 * scale, 6) for scale in priors.scales] == sizes
        assert priors.clip == ("sizes" if published == "torchvision" else "centres and sizes")
    assert [round(512 * s, 2) for s in published_priors(512, "voc").scales[:3]] == [35.84, 76.8, 153.6]
    assert [round(512 * s, 2) for s in published_priors(512, "coco").scales[:3]] == [20.48, 51.2, 133.12]


def test_the_norm_of_conv4_3() -> None:
    model: Any = models.build("ssd300_vgg16", 2, width=4)
    x = torch.randn(2, 32, 3, 3)
    torch.testing.assert_close(model.norm(x).norm(dim=1), torch.full((2, 3, 3), 20.0))
    assert model.norm(x.bfloat16()).dtype == torch.float32


def test_fc6_sees_far() -> None:
    fc6: Any = on_meta("ssd300_vgg16", 2, width=4).get_submodule("fc.0")
    assert (fc6.kernel_size, fc6.dilation, fc6.padding) == ((3, 3), (6, 6), (6, 6))


def test_scales_of_mobilenet() -> None:
    model: Any = on_meta("ssd_mobilenet_v2", 2)
    assert [round(scale, 6) for scale in model.priors.scales] == [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0]
    with pytest.raises(ZoetropeError, match=r"scales=.*two shares"):
        models.check_options("ssd_mobilenet_v2", scales=(0.9, 0.1))


def test_what_is_encoded_is_found() -> None:
    """Heads that say one object each of two pictures, the second partly outside."""
    model: Any = models.build("ssd_mobilenet_v2", 3, width_mult=0.1)
    size = (96, 128)
    with torch.no_grad():
        heads = model.eval()(torch.zeros(2, 3, *size))
    boxes = torch.tensor([[10.0, 20.0, 60.0, 70.0], [100.0, 40.0, 140.0, 90.0]])
    heads["codes"] = encode(centred(boxes)[:, None].expand_as(heads["priors"]), heads["priors"])
    heads["scores"] = torch.zeros_like(heads["scores"])
    heads["scores"][..., 0] = 20
    heads["scores"][0, 7, 3] = heads["scores"][1, 90, 1] = 25
    heads["scores"][0, 8, 3] = 24  # the same box once more
    answer = model.decode(heads, size, 5, 0.3, 0.45)
    assert answer["kind"].tolist() == [[2, -1, -1, -1, -1], [0, -1, -1, -1, -1]]
    assert answer["kind"].dtype == torch.int64
    torch.testing.assert_close(answer["boxes"][0, 0], boxes[0], rtol=0, atol=1e-3)
    torch.testing.assert_close(answer["boxes"][1, 0], torch.tensor([100.0, 40.0, 128.0, 90.0]), rtol=0, atol=1e-3)
    assert (answer["score"][:, 0] > 0.99).all()
    assert not answer["score"][:, 1:].any()
    assert not answer["boxes"][:, 1:].any()


def test_detections_by_hand() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 1, 10, 11], [40, 40, 50, 50]]])
    scores = torch.tensor([[[0.9, 0.3], [0.8, 0.6], [0.05, 0.6]]])
    answer = detections(boxes, scores, most=4, threshold=0.2, overlap=0.5)
    assert answer["kind"].tolist() == [[0, 1, 1, -1]]
    torch.testing.assert_close(answer["score"], torch.tensor([[0.9, 0.6, 0.6, 0.0]]))
    assert answer["boxes"].tolist() == [[[0, 0, 10, 10], [0, 1, 10, 11], [40, 40, 50, 50], [0, 0, 0, 0]]]
    few = detections(boxes, scores, most=2, threshold=0.2, overlap=0.5)
    assert few["kind"].tolist() == [[0, 1]]
    assert few["boxes"].tolist() == [[[0, 0, 10, 10], [0, 1, 10, 11]]]
    # Of each class, only the highest scores take part.
    alone = detections(boxes, scores, most=4, threshold=0.0, overlap=0.9, candidates=1)
    assert alone["kind"].tolist() == [[0, 1, -1, -1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssd_mobilenet_v2", "ssd300_vgg16"])
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)
