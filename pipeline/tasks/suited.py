"""What suits data that was looked at: the parts of a recipe that a task chooses by what is known of it.

A task's `suited` is built of these; a choice that several tasks share stands here.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.recipe.section import Modality

SIDES = (32, 48, 64, 96, 112, 128, 160, 192, 224)
"""Widths and heights of a view in px, for models that answer classes."""
SMALL_PX = 48
"""Up to here a stem of stride 1 is used."""
FEWEST_PX = 96
"""Shorter side of the median picture from which on official weights, of 224 px, are of use."""
EPOCHS = ((1000, 60), (10_000, 40), (100_000, 30), (math.inf, 90))
"""Up to so many training samples -> epochs of a training from scratch; fewer from official weights."""
SIDED = re.compile(r"(^|[^a-z])(left|right|(anti|counter)?clockwise|c?cw)([^a-z]|$)", re.IGNORECASE)
FEWEST_CHARACTERS = 5
"""Classes whose names are of one letter or digit, from which on they are taken for what is to be read."""
LONG_S = 30.0
"""From here on a video is long: frames drawn evenly are seconds apart."""


@dataclass(frozen=True)
class Start:
    """Official weights of a model: their name and licence, and what their input looked like, None where nobody says.

    here: tells whether they lie on this machine or can be fetched, which asks a server
    """

    name: str
    licence: str
    mean: Sequence[float]
    std: Sequence[float]
    resize_px: int | None = None
    crop_px: int | None = None
    here: Callable[[], bool] = lambda: True


Starts = Callable[[str], Start | None]
"""Name of a model -> official weights that can be had here; None for none."""


@dataclass(frozen=True)
class Facts:
    """What is known of a data set and the machine.

    train:   training samples
    width, height: medians in px; fps and duration_s of videos, medians too, 0 of images
    gpu:     whether this machine has one
    """

    modality: Modality
    classes: tuple[str, ...]
    train: int
    width: int
    height: int
    fps: float = 0.0
    duration_s: float = 0.0
    gpu: bool = False
    start: Starts = lambda kind: None

    @property
    def short_px(self) -> int:
        """The shorter side of the median picture."""
        return min(self.width, self.height)


@dataclass(frozen=True)
class Suited:
    """Sections of a recipe, as a task chooses them.

    sections: name -> its value, plain
    side_px:  width and height of what the model sees in training
    epochs:   how long to train
    why:      name of a section -> a comment about it
    offers:   name of a section -> other values for it, as comments below it
    most_batch: samples of a batch at most; None where memory and the number of samples alone decide
    """

    sections: Mapping[str, Any]
    side_px: int
    epochs: int
    why: Mapping[str, str] = field(default_factory=dict)
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    most_batch: int | None = None


def epochs(facts: Facts, start: Start | None) -> int:
    """Choose how often samples are seen: those of small data sets more often, and less often from official weights."""
    count = next(count for most, count in EPOCHS if facts.train <= most)
    return count // (2 if facts.gpu else 4) if start else count


def mirrored(classes: tuple[str, ...]) -> bool:
    """Tell whether a mirrored picture has the same class: not where classes are called left and right, or are letters
    and digits.
    """
    read = len(classes) >= FEWEST_CHARACTERS and all(len(name) == 1 for name in classes)
    return not read and not any(SIDED.search(name) for name in classes)


@dataclass(frozen=True)
class Network:
    """A model: its section, the weights that it starts from, and what to say of it."""

    section: dict[str, Any]
    start: Start | None
    why: str
    offers: tuple[str, ...] = ()


def network(facts: Facts, kind: str, narrow: int, against: str = "") -> Network:
    """Choose the options of a model: official weights where these can be had, and nothing is said against them.

    They have the usual width; from scratch a machine without a GPU gets a narrow model.
    """
    start = facts.start(kind)
    if start and not against and start.here():
        return Network({"kind": kind, "weights": start.name}, start, f"official weights ({start.licence})")
    section = {"kind": kind} if facts.gpu else {"kind": kind, "width": narrow}
    why = "from scratch" + ("" if facts.gpu else "; narrow, as there is no GPU here: 64 is the usual width")
    if start is None:
        return Network(section, None, why)
    offer = f"model: {{kind: {kind}, weights: {start.name}}}   # official weights, which "
    return Network(section, None, why, (offer + (against or "could not be reached"),))


def classifier(facts: Facts, smoothing: float) -> Suited:
    """Choose for a model that answers classes: a ResNet, of videos with TSM's shift."""
    is_video = facts.modality == "video"
    large = facts.gpu and facts.train >= (2000 if is_video else 20_000)
    kind = f"{'tsm_' if is_video else ''}resnet{50 if large else 18}"
    against = "" if facts.gpu or not is_video else "take much time without a GPU"
    against = against if facts.short_px >= FEWEST_PX else "are of larger pictures"
    model = network(facts, kind, 16 if is_video else 32, against)
    px, resized = _sides(facts, model.start)
    if px <= SMALL_PX:
        model.section["stem"] = "small"
    flip = ["HorizontalFlip"] if mirrored(facts.classes) else []
    stored = even(px * 8 / 7) if is_video else 2 * px
    sections = {
        "shard": {"video" if is_video else "image": {"short_side": max(stored, even(resized))}},
        **({"clip": {"frames": 8, "sampling": "segments"}} if is_video else {}),
        "model": model.section,
        "augment": {
            "train": [{"RandomResizedCrop": {"size": [px, px], "scale": [0.4, 1.0]}}, *flip],
            "eval": [{"SmallestMaxSize": {"max_size": resized}}, {"CenterCrop": {"height": px, "width": px}}],
            **normalised(model.start),
        },
        "loss": {"label_smoothing": smoothing} if smoothing else {},
        "optimizer": {
            "kind": "sgd",
            "lr": 0.01 if model.start else 0.1,
            "base_batch": 64,
            "momentum": 0.9,
            "weight_decay": 5e-4,
        },
    }
    why = {
        "shard": f"stored with a shorter side of {max(stored, even(resized))} px at most",
        "model": model.why,
        "augment": f"{px} px, for pictures of {facts.width} x {facts.height} px, the median"
        + ("; with a GPU up to 224" if not facts.gpu and px < min(SIDES[-1], facts.short_px) else "")
        + ("" if flip else "; not mirrored, as the classes' names may tell left from right"),
    }
    stride = max(1, round(facts.fps / 4))
    long = f"clip: {{frames: 8, sampling: dense, stride: {stride}}}   # two seconds of videos that are long"
    offers = {"model": model.offers, "clip": (long,) if facts.duration_s > LONG_S else ()}
    return Suited(sections, px, epochs(facts, model.start), why, {key: lines for key, lines in offers.items() if lines})


def _sides(facts: Facts, start: Start | None) -> tuple[int, int]:
    """Choose width and height of a view, and the shorter side that an evaluation brings pictures to before: those that
    weights were measured with, else what pictures of the median size fill.
    """
    if start and start.crop_px:
        return start.crop_px, start.resize_px or even(start.crop_px * 8 / 7)
    most = SIDES[-1] if facts.gpu else 112 if facts.modality == "video" else 128
    px = max([one for one in SIDES if one <= min(facts.short_px, most)], default=SIDES[0])
    return px, even(px * 8 / 7) if facts.short_px >= px * 8 / 7 else px


def normalised(start: Start | None) -> dict[str, Any]:
    """Return the mean and standard deviation that weights were trained with; nothing where none are loaded."""
    return {"mean": list(start.mean), "std": list(start.std)} if start else {}


def even(px: float) -> int:
    """Round up to an even number."""
    return 2 * math.ceil(px / 2)
