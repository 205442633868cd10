"""What suits masks that were looked at."""

from typing import Any

from pipeline.tasks.suited import Facts, Suited, epochs, mirrored, network, normalised

PRETRAINED = "deeplabv3_resnet50"
SIDES = (32, 64, 96, 128, 192, 256)
"""Widths and heights of a crop in px."""
STORED_PX = 512
"""Shorter side of what is stored, at most."""


def suited(facts: Facts) -> Suited:
    """Choose a network that learns from crops and is measured on whole pictures: with a GPU DeepLab v3, if its weights
    can be had, else a U-Net.
    """
    deep = facts.start(PRETRAINED) if facts.gpu else None
    model = network(facts, PRETRAINED if deep and deep.here() else "unet_bn", narrow=16)
    most = min(STORED_PX, facts.short_px, SIDES[-1] if facts.gpu else 192)
    px = max([one for one in SIDES if one <= most], default=SIDES[0])
    flip = ["HorizontalFlip"] if mirrored(facts.classes) else []
    large = facts.short_px > STORED_PX
    crop: dict[str, Any] = {"height": px, "width": px}
    rate = {"lr": 2e-4 if model.start else 2e-3, "base_batch": 16, "scaling": "sqrt", "weight_decay": 1e-4}
    sections = {
        "shard": {"image": {"short_side": STORED_PX} if large else {"resize": False}},
        "model": model.section,
        "augment": {
            "train": [{"PadIfNeeded": {"min_height": px, "min_width": px}}, {"RandomCrop": crop}, *flip],
            "eval": [],
            **normalised(model.start),
        },
        "loss": {"terms": {"cross_entropy": 1, "dice": 1}},
        "optimizer": {"kind": "adamw", **rate},
    }
    why = {
        "shard": f"made smaller, to {STORED_PX} px" if large else "pictures as they are",
        "model": model.why,
        "augment": f"crops of {px} px, of pictures of {facts.width} x {facts.height} px, the median; eval: whole ones",
    }
    return Suited(sections, px, epochs(facts, model.start), why)
