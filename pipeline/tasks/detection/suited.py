"""What suits boxes that were looked at."""

from typing import Any

from pipeline.tasks.suited import Facts, Suited, epochs, mirrored, normalised

PRETRAINED, PRETRAINED_PX = "ssd300_vgg16", 300
SIDES = (64, 96, 128, 192, 256, 320)
"""Widths and heights of a view in px; SSD sees pictures squeezed into a square."""
FEWEST_PX = 64


def suited(facts: Facts) -> Suited:
    """Choose SSD: with a GPU that on VGG-16, if its weights can be had, else the light one on MobileNetV2."""
    start = facts.start(PRETRAINED) if facts.gpu else None
    deep = start if start and start.here() else None
    most = min(facts.short_px, SIDES[-1] if facts.gpu else 256)
    px = PRETRAINED_PX if deep else max([one for one in SIDES if one <= most], default=FEWEST_PX)
    flip = ["HorizontalFlip"] if mirrored(facts.classes) else []
    resize: dict[str, Any] = {"Resize": {"height": px, "width": px}}
    light = {"kind": "ssd_mobilenet_v2", "stride": 8, "scales": [0.1, 0.9]} | ({} if facts.gpu else {"width_mult": 0.5})
    rate = {"lr": 2e-4 if deep else 3e-3, "base_batch": 16, "scaling": "sqrt", "weight_decay": 1e-2}
    sections = {
        "shard": {"image": {"short_side": px}},
        "model": {"kind": PRETRAINED, "weights": deep.name} if deep else light,
        "augment": {
            "train": [{"RandomIoUCrop": {"p": 0.7}}, resize, *flip, {"ColorJitter": {"p": 0.5}}],
            "eval": [resize],
            **normalised(deep),
        },
        "optimizer": {"kind": "adamw", **rate},
    }
    why = {
        "shard": f"stored with a shorter side of {px} px at most",
        "model": f"official weights ({deep.licence})" if deep else "from scratch",
        "augment": f"{px} px, for pictures of {facts.width} x {facts.height} px, the median; crops as SSD draws them"
        + ("" if flip else "; not mirrored, as the classes' names may tell left from right"),
    }
    return Suited(sections, px, 2 * epochs(facts, deep), why)
