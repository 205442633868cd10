"""What tasks choose by what is known of data."""

from dataclasses import replace

import pytest

from pipeline.recipe.tasks import SECTIONS
from pipeline.tasks import TASKS
from pipeline.tasks.suited import Facts, Start, epochs, mirrored

PHOTOS = Facts("image", ("cat", "dog"), train=400, width=640, height=480)
START = Start("official", "MIT", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), 232, 224)


@pytest.mark.parametrize("kind", sorted(SECTIONS))
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("short_px", [20, 48, 112, 480, 3000])
def test_every_task_chooses_what_a_recipe_may_say(kind: str, gpu: bool, short_px: int) -> None:
    from pipeline.recipe import check

    section = SECTIONS[kind].model_validate({"kind": kind})
    facts = replace(PHOTOS, modality=section.modality, width=2 * short_px, height=short_px, gpu=gpu, fps=25.0)
    suited = TASKS[kind].suited(facts)
    source = {
        "mask": {"kind": "images", "path": "a", "masks": "b"},
        "objects": {"kind": "yolo", "path": "a"},
        "keypoints": {"kind": "yolo", "path": "a"},
        "image": {"kind": "images", "path": "a"},
    }
    values = {
        "name": "x",
        "task": {"kind": kind},
        "data": {"source": source.get(section.answers, {"kind": "table", "path": "a.jsonl"})},
        **suited.sections,
        "train": {"duration": f"{suited.epochs}ep", "batch_size": 8},
    }
    assert check(values, "a draft").model.kind == suited.sections["model"]["kind"]
    assert suited.why.keys() | suited.offers.keys() <= suited.sections.keys()


@pytest.mark.parametrize(
    ("changes", "model", "side_px"),
    [
        ({}, {"kind": "resnet18", "width": 32}, 128),
        ({"gpu": True}, {"kind": "resnet18"}, 224),
        ({"gpu": True, "train": 50_000}, {"kind": "resnet50"}, 224),
        ({"width": 32, "height": 32}, {"kind": "resnet18", "width": 32, "stem": "small"}, 32),
        ({"modality": "video"}, {"kind": "tsm_resnet18", "width": 16}, 112),
        ({"start": lambda kind: START}, {"kind": "resnet18", "weights": "official"}, 224),
        ({"start": lambda kind: START, "width": 64, "height": 64}, {"kind": "resnet18", "width": 32}, 64),
        ({"start": lambda kind: START, "modality": "video"}, {"kind": "tsm_resnet18", "width": 16}, 112),
        (
            {"start": lambda kind: START, "modality": "video", "gpu": True},
            {"kind": "tsm_resnet18", "weights": "official"},
            224,
        ),
    ],
)
def test_models_for_classes(changes: dict, model: dict, side_px: int) -> None:
    suited = TASKS["image-classification"].suited(replace(PHOTOS, **changes))
    assert (suited.sections["model"], suited.side_px) == (model, side_px)


def test_official_weights_bring_their_input_and_a_lower_rate() -> None:
    suited = TASKS["image-classification"].suited(replace(PHOTOS, start=lambda kind: START))
    assert suited.sections["augment"] == {
        "train": [{"RandomResizedCrop": {"size": [224, 224], "scale": [0.4, 1.0]}}, "HorizontalFlip"],
        "eval": [{"SmallestMaxSize": {"max_size": 232}}, {"CenterCrop": {"height": 224, "width": 224}}],
        "mean": [0.1, 0.2, 0.3],
        "std": [1.0, 1.0, 1.0],
    }
    assert suited.sections["optimizer"]["lr"] == 0.01
    assert (suited.epochs, suited.why["model"]) == (15, "official weights (MIT)")


def test_official_weights_that_cannot_be_reached_are_offered() -> None:
    away = replace(START, here=lambda: False)
    suited = TASKS["image-classification"].suited(replace(PHOTOS, start=lambda kind: away))
    assert suited.sections["model"] == {"kind": "resnet18", "width": 32}
    line = "model: {kind: resnet18, weights: official}   # official weights, which could not be reached"
    assert suited.offers == {"model": (line,)}


def test_boxes_start_from_ssd300_where_its_weights_and_a_gpu_are() -> None:
    only = {"ssd300_vgg16": START}.get
    light = {"kind": "ssd_mobilenet_v2", "stride": 8, "scales": [0.1, 0.9]}
    for gpu, model, side_px in (
        (False, light | {"width_mult": 0.5}, 256),
        (True, {"kind": "ssd300_vgg16", "weights": "official"}, 300),
    ):
        suited = TASKS["detection"].suited(replace(PHOTOS, gpu=gpu, start=only))
        assert (suited.sections["model"], suited.side_px) == (model, side_px)
    assert TASKS["detection"].suited(replace(PHOTOS, gpu=True)).sections["model"] == light


def test_masks_start_from_deeplab_where_its_weights_and_a_gpu_are() -> None:
    only = {"deeplabv3_resnet50": START}.get
    for gpu, kind in ((True, "deeplabv3_resnet50"), (False, "unet_bn")):
        assert TASKS["segmentation"].suited(replace(PHOTOS, gpu=gpu, start=only)).sections["model"]["kind"] == kind


def test_pictures_start_from_edsr_where_its_weights_and_a_gpu_are() -> None:
    only = {"edsr_baseline": START}.get
    for facts, options, rate in (
        (PHOTOS, {"blocks": 8, "width": 32, "pixel_range": 1}, 1e-3),
        (replace(PHOTOS, gpu=True), {"pixel_range": 1}, 1e-4),
        (replace(PHOTOS, gpu=True, start=only), {"weights": "official"}, 1e-4),
    ):
        suited = TASKS["restoration"].suited(facts)
        assert suited.sections["model"] == {"kind": "edsr_baseline", "scale": 2, **options}
        assert suited.sections["optimizer"]["lr"] == rate
        assert (suited.side_px, suited.most_batch) == (48, 16)


@pytest.mark.parametrize(
    ("size_px", "train", "crop_px", "epochs", "tile"),
    [
        ((640, 480), 400, 96, 125, False),
        ((100, 70), 400, 32, 125, False),
        ((4000, 3000), 90, 96, 555, True),
        ((640, 480), 9, 96, 1000, False),
        ((640, 480), 90_000, 96, 1, False),
    ],
)
def test_crops_of_pictures_to_be_restored(
    size_px: tuple[int, int], train: int, crop_px: int, epochs: int, tile: bool
) -> None:
    suited = TASKS["restoration"].suited(replace(PHOTOS, width=size_px[0], height=size_px[1], train=train))
    crop = suited.sections["augment"]["train"][0]["RandomCrop"]
    assert (crop, suited.side_px, suited.epochs) == ({"height": crop_px, "width": crop_px}, crop_px // 2, epochs)
    assert ("evaluate" in suited.sections) == tile


@pytest.mark.parametrize(("train", "count"), [(1000, 60), (1001, 40), (50_000, 30), (1_200_000, 90)])
def test_small_data_sets_are_seen_more_often(train: int, count: int) -> None:
    assert epochs(replace(PHOTOS, train=train), None) == count


@pytest.mark.parametrize(
    ("classes", "is_mirrored"),
    [
        (("cat", "dog"), True),
        (("bright", "copyright"), True),
        (("turn left", "turn_right"), False),
        (("cw", "ccw"), False),
        (("0", "1"), True),
        (tuple("0123456789"), False),
        ((), True),
    ],
)
def test_what_may_be_mirrored(classes: tuple[str, ...], is_mirrored: bool) -> None:
    assert mirrored(classes) is is_mirrored
