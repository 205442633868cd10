"""What suits bodies that were looked at."""

from typing import Any

from pipeline.tasks.suited import Facts, Suited, epochs

SIDES = (64, 96, 128, 192, 256, 320, 368)
"""Widths and heights of a view in px."""


def suited(facts: Facts) -> Suited:
    """Choose a light network, with a GPU on ResNet-18, else on half of MobileNetV2; pictures are fitted into a
    square.
    """
    most = min(facts.short_px, SIDES[-1] if facts.gpu else 128)
    px = max([one for one in SIDES if one <= most], default=SIDES[0])
    fit: list[dict[str, Any]] = [
        {"LongestMaxSize": {"max_size": px}},
        {"PadIfNeeded": {"min_height": px, "min_width": px}},
    ]
    moves = {"Affine": {"scale": [0.75, 1.25], "rotate": [-30, 30], "translate_percent": [-0.1, 0.1], "p": 1.0}}
    light = {"kind": "pose_mobilenet_v2", "width_mult": 0.5, "channels": 48}
    sections = {
        "shard": {"image": {"short_side": px}},
        "model": {"kind": "pose_resnet18"} if facts.gpu else light,
        "augment": {"train": [*fit, moves, "HorizontalFlip", {"ColorJitter": {"p": 0.5}}], "eval": fit},
        "optimizer": {"kind": "adamw", "lr": 2e-3, "base_batch": 16, "scaling": "sqrt", "weight_decay": 1e-2},
    }
    why = {
        "shard": f"stored with a shorter side of {px} px at most",
        "model": "from scratch",
        "augment": f"{px} px, for pictures of {facts.width} x {facts.height} px, the median; sides swap in a mirror",
    }
    return Suited(sections, px, 2 * epochs(facts, None), why)
