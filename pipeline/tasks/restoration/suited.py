"""What suits pictures that were looked at."""

from typing import Any

from pipeline.tasks.suited import Facts, Suited, normalised

MODEL = "edsr_baseline"
SCALE = 2
SIDES = (16, 32, 48, 64, 96)
"""Widths and heights of a crop in px, of the restored picture; EDSR's are twice 48."""
CROPS = {False: 50_000, True: 1_000_000}
"""By whether there is a GPU: how many are seen in a training, about."""
MOST_EPOCHS = 1000
BATCH = 16
"""As published; many steps of few crops are learned from better."""
LARGE_PX = 1 << 20
"""Pictures of more pixels are measured in tiles."""
TILE_PX = 256


def suited(facts: Facts) -> Suited:
    """Choose EDSR's baseline, which learns from crops to double the size: with a GPU as published, from its weights if
    these can be had, else narrow and shallow. Other ways to degrade are offered.
    """
    start = facts.start(MODEL) if facts.gpu else None
    deep = start if start and start.here() else None
    model: dict[str, Any] = {"kind": MODEL, "scale": SCALE}
    if deep:
        model["weights"] = deep.name
    else:
        model |= {"pixel_range": 1} if facts.gpu else {"blocks": 8, "width": 32, "pixel_range": 1}
    # Half of the median, for smaller pictures have to hold a crop, too.
    px = max([one for one in SIDES if 2 * one <= facts.short_px], default=SIDES[0])
    large = facts.width * facts.height > LARGE_PX
    sections = {
        "task": {"kind": "restoration", "scale": SCALE, "degrade": {"resize": "bicubic"}},
        "shard": {"image": {"resize": False}},
        "model": model,
        "augment": {
            "train": [{"RandomCrop": {"height": px, "width": px}}, {"D4": {"p": 1}}],
            "eval": [],
            **(normalised(deep) if deep else {"mean": [0, 0, 0], "std": [1, 1, 1]}),
        },
        "loss": {"terms": {"l1": 1}},
        "optimizer": {
            "kind": "adamw",
            "lr": 1e-4 if facts.gpu else 1e-3,
            "base_batch": BATCH,
            "scaling": "sqrt",
            "weight_decay": 0,
        },
        **({"evaluate": {"tile": TILE_PX}} if large else {}),
    }
    why = {
        "shard": "without loss",
        "model": f"official weights ({deep.licence})" if deep else "from scratch",
        "augment": f"crops of {px} px of what is restored, of pictures of {facts.width} x {facts.height} px, the "
        "median; eval: whole ones",
    }
    offers = (
        "task: {kind: restoration, degrade: {noise: [0, 50]}}  # or jpeg: [30, 90] or blur: [0, 3], with model.scale 1",
        "data.source.targets: FOLDER  # what they should look like, with model.scale 1 or more, and no task.degrade",
    )
    epochs = min(MOST_EPOCHS, max(1, CROPS[facts.gpu] // max(facts.train, 1)))
    return Suited(sections, px // SCALE, epochs, why, {"task": offers}, most_batch=BATCH)
