"""The table of official weights: its rows fit this repository; some are written out as their publishers give them."""

import re

import pytest
import torch

import models
from models.complexity import count_parameters
from models.official import GREY, IMAGENET, ROWS, Official, named, names, near_words, weights_of
from models.options import OPTIONS
from pipeline.base.errors import ZoetropeError

# torchvision 0.28.0, the enums' `num_params`.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "mobilenetv2": 3_504_872,
    "swin_t": 28_288_354,
    "swin_s": 49_606_258,
    "swin_b": 87_768_224,
    "convnext_tiny": 28_589_128,
    "convnext_small": 50_223_688,
    "convnext_base": 88_591_464,
    "convnext_large": 197_767_336,
    "deeplabv3_resnet50": 42_004_074,
    "deeplabv3_resnet101": 60_996_202,
    "ssd300_vgg16": 35_641_826,
    "fasterrcnn_resnet50_fpn": 41_755_286,
    "fasterrcnn_resnet50_fpn_v2": 43_712_278,
    "maskrcnn_resnet50_fpn": 44_401_393,
    "maskrcnn_resnet50_fpn_v2": 46_359_409,
    "r3d_18": 33_371_472,
    "mc3_18": 11_695_440,
    "r2plus1d_18": 31_505_325,
    "s3d": 8_320_048,
}
CLASSES = {"deeplabv3_resnet50": 21, "deeplabv3_resnet101": 21, "ssd300_vgg16": 90}
CLASSES |= {name: 90 for name in PUBLISHED if "rcnn" in name}
CLASSES |= dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18", "s3d"), 400)
"""Of those that are not of ImageNet; the background of detectors is not among ours."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.kinds[0]}")
def test_a_row_is_of_models_that_there_are(row: Official) -> None:
    for kind in row.kinds:
        assert kind in OPTIONS
        models.check_options(kind, **row.model_options)
    assert row.url.startswith("https://")
    assert re.fullmatch(r"|[0-9a-f]{8,}", row.sha256)
    assert row.sha256 in row.url
    assert re.fullmatch(r"[a-z0-9-]+", row.name)
    assert row.score is None or 20 < row.score < 90


def test_a_model_has_a_name_once() -> None:
    pairs = [(kind, row.name) for row in ROWS for kind in row.kinds]
    assert len(pairs) == len(set(pairs))
    assert {"imagenet1k", "kinetics400", "ssv2", "coco"} <= names()


@pytest.mark.parametrize("kind", PUBLISHED)
def test_files_of_torchvision_have_as_many_parameters_as_our_models(kind: str) -> None:
    assert any(row.of == kind for row in ROWS)
    with torch.device("meta"):
        model = models.build(kind, CLASSES.get(kind, 1000))
    assert count_parameters(model) == PUBLISHED[kind]


def test_rows_as_they_are_published() -> None:
    mean, std = IMAGENET
    base = "https://download.pytorch.org/models/"
    assert named("resnet50", "imagenet1k") == Official(
        "imagenet1k", ("resnet50",), "resnet50", f"{base}resnet50-11ad3fa6.pth", "11ad3fa6", "BSD-3-Clause", "top-1",
        80.858, mean, std, 232, 224, "bilinear",
    )  # fmt: skip
    assert named("alexnet", "imagenet1k") == Official(
        "imagenet1k", ("alexnet",), "alexnet", f"{base}alexnet-owt-7be5be79.pth", "7be5be79", "BSD-3-Clause", "top-1",
        56.522, mean, std, 256, 224, "bilinear",
    )  # fmt: skip
    assert named("vit_b_16", "imagenet1k-swag") == Official(
        "imagenet1k-swag", ("vit_b_16",), "vit_b_16", f"{base}vit_b_16_swag-9ac1b537.pth", "9ac1b537", "CC-BY-NC-4.0",
        "top-1", 85.304, mean, std, 384, 384, "bicubic", {"model.size_px": 384},
    )  # fmt: skip
    assert named("deeplabv3_resnet101", "coco") == Official(
        "coco", ("deeplabv3_resnet101",), "deeplabv3_resnet101", f"{base}deeplabv3_resnet101_coco-586e9e4e.pth",
        "586e9e4e", "BSD-3-Clause", "mIoU", 67.4, mean, std, 520, None, "bilinear",
    )  # fmt: skip
    assert named("tsm_resnet50", "kinetics400-nl") == Official(
        "kinetics400-nl", ("tsm_resnet50",), "tsm_resnet50",
        "https://hanlab18.mit.edu/projects/tsm/models/"
        "TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense_nl.pth",
        "", "MIT", "top-1 of 10 clips", 75.6, mean, std, 256, 224, None,
        {"clip.frames": 8, "clip.sampling": "dense", "clip.stride": 8, "model.non_local": True},
    )  # fmt: skip
    assert named("timesformer_hr", "kinetics400") == Official(
        "kinetics400", ("timesformer_hr",), "timesformer_hr",
        "https://www.dropbox.com/s/6f0x172lpqy3oxt/TimeSformer_divST_16x16_448_K400.pyth?dl=1", "", "CC-BY-NC-4.0",
        "top-1", 79.6, *GREY, None, 448, None, {"clip.frames": 16, "clip.sampling": "dense", "clip.stride": 16},
    )  # fmt: skip
    assert named("edsr_baseline", "div2k-x4") == Official(
        "div2k-x4", ("edsr_baseline",), "edsr_baseline",
        "https://cv.snu.ac.kr/research/EDSR/models/edsr_baseline_x4-6b446fab.pt", "6b446fab", "MIT", "PSNR", None,
        (0, 0, 0), (0.00392157, 0.00392157, 0.00392157), None, None, None,
        {"model.scale": 4, "model.pixel_range": 255.0},
    )  # fmt: skip


def test_what_a_licence_allows() -> None:
    rows = {kind: weights_of(kind)[-1] for kind in ("resnet50", "timesformer_base", "hornet_base_gf")}
    assert {kind: row.commercial for kind, row in rows.items()} == {
        "resnet50": True,
        "timesformer_base": False,
        "hornet_base_gf": True,
    }


def test_a_name_is_answered_for_the_model() -> None:
    image, clips = named("resnet18", "imagenet1k"), named("tsm_resnet18", "imagenet1k")
    assert image is not None
    assert image == clips
    assert image.of == "resnet18"
    assert named("resnet18", "quickstart") is None
    assert [row.name for row in weights_of("resnet101")] == ["imagenet1k", "imagenet1k-v1"]
    assert weights_of("my_package:MyNet") == weights_of("unet") == []
    with pytest.raises(ZoetropeError, match="resnet18 has no weights called 'kinetics400'; those of resnet18 are: "):
        named("resnet18", "kinetics400")
    with pytest.raises(ZoetropeError, match="unet has no weights called 'imagenet1k'; it has none by name"):
        named("unet", "imagenet1k")


@pytest.mark.parametrize(
    ("kind", "weights", "says"),
    [
        ("resnet18", "imagenet", "did you mean 'imagenet1k'?"),
        ("resnet50", "IMAGENET1K_V1", "did you mean 'imagenet1k-v1'?"),
        ("tsm_resnet50", "kinetics", "did you mean 'kinetics400'?"),
        ("resnet18", "pretrained", "for resnet18 there are: imagenet1k."),
        ("unet", "imagenet", "for unet there are: none."),
    ],
)
def test_the_nearest_name(kind: str, weights: str, says: str) -> None:
    assert near_words(kind, weights) == says
