"""What suits objects with masks that were looked at."""

from typing import Any

from pipeline.tasks.detection.suited import FEWEST_PX, SIDES
from pipeline.tasks.suited import Facts, Suited, epochs, mirrored

ANCHORS = (1 / 8, 1 / 4, 2 / 5, 3 / 5, 9 / 10)
"""Sides of the levels' anchors, in shares of the view's side."""


def suited(facts: Facts) -> Suited:
    """Choose a light Mask R-CNN from scratch, of half the width where there is no GPU."""
    most = min(facts.short_px, SIDES[-1] if facts.gpu else 256)
    px = max([one for one in SIDES if one <= most], default=FEWEST_PX)
    flip = ["HorizontalFlip"] if mirrored(facts.classes) else []
    resize: dict[str, Any] = {"Resize": {"height": px, "width": px}}
    light = {} if facts.gpu else {"width": 32, "channels": 64, "hidden": 256}
    anchors = [max(4, round(share * px)) for share in ANCHORS]
    sections = {
        "shard": {"image": {"short_side": px}},
        "model": {"kind": "maskrcnn_resnet18_fpn", "anchor_px": anchors, **light},
        "augment": {"train": [resize, *flip, {"ColorJitter": {"p": 0.5}}], "eval": [resize]},
        "optimizer": {"kind": "adamw", "lr": 2e-3, "base_batch": 16, "scaling": "sqrt", "weight_decay": 1e-2},
    }
    why = {
        "shard": f"stored with a shorter side of {px} px at most",
        "model": "from scratch",
        "augment": f"{px} px, for pictures of {facts.width} x {facts.height} px, the median"
        + ("" if flip else "; not mirrored, as the classes' names may tell left from right"),
    }
    return Suited(sections, px, 2 * epochs(facts, None), why)
