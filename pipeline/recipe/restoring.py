"""How a restoration's inputs are made, and what does not go together with it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from models.options.own import options_of
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.section import Section
from pipeline.recipe.values import at, word

Sigma = Annotated[float, Field(ge=0, le=255)]
Quality = Annotated[float, Field(ge=1, le=100)]
Range = float | list[float]


class Degrade(Section):
    """What is done to a picture, in this order; a range `[low, high]` is drawn from, evenly, for each sample anew."""

    blur: Sigma | Annotated[list[Sigma], Field(min_length=2, max_length=2)] | None = None
    """Standard deviation of a Gaussian, in px of the picture."""
    resize: Literal["bicubic"] = "bicubic"
    """How it is made `task.scale` times smaller: by a bicubic filter that smooths, as published sets are made."""
    noise: Sigma | Annotated[list[Sigma], Field(min_length=2, max_length=2)] | None = None
    """Standard deviation of white Gaussian noise, in levels of 0 to 255."""
    jpeg: Quality | Annotated[list[Quality], Field(min_length=2, max_length=2)] | None = None
    """Quality of a JPEG."""

    @field_validator("blur", "noise", "jpeg")
    @classmethod
    def _in_order(cls, given: Range | None) -> Range | None:
        if isinstance(given, list) and given[0] > given[1]:
            raise ValueError(f"a range is [low, high], and {given[0]:g} is more than {given[1]:g}")
        return given


def restoration_problems(values: Mapping[str, Any], sources: Sequence[str]) -> list[str]:
    """Return what does not go together in a recipe for restoration; `sources` are the dotted keys of its sources."""
    problems = []
    scale, degrade = at(values, "task.scale") or 1, at(values, "task.degrade")
    for where in sources:
        targets = at(values, f"{where}.targets") or "target.png" in (at(values, f"{where}.members") or {})
        if degrade is not None and targets:
            problems.append(
                f"task.degrade: makes inputs of pictures, and {where} gives pairs of an input and a target; leave "
                "either out"
            )
        elif degrade is None and not targets:
            problems.append(
                f"task.degrade: is missing. Say what inputs are made by, such as {{resize: bicubic}} for task.scale 2, "
                f"or {{noise: 25}}; or give pairs: {where}.targets, a folder"
            )
    if scale == 1 and isinstance(degrade, Mapping) and not any(degrade.get(way) for way in ("blur", "noise", "jpeg")):
        problems.append("task.degrade: leaves pictures as they are; set task.scale, or one of blur, noise and jpeg")
    if (own := _model_scale(values)) not in (None, scale):
        problems.append(
            f"task.scale: is {scale}, and model.kind {word(values, 'model.kind')} enlarges {own} times; let both be "
            "the same, by model.scale where the model has it"
        )
    image = at(values, "shard.image.resize")
    if image is None or image is True:
        problems.append("shard.image.resize: would shrink what is to be restored; set it to false")
    if at(values, "augment.eval"):
        problems.append("augment.eval: pictures are restored whole, as large as they are; set it to []")
    if word(values, "train.sampling.kind") == "balanced":
        problems.append("train.sampling.kind: balanced goes by classes, which pictures to be restored have not")
    return problems


def _model_scale(values: Mapping[str, Any]) -> Any:
    """Return how many times the model enlarges; None where that is not known."""
    try:
        options = options_of(word(values, "model.kind"))
    except ZoetropeError:  # said already
        return None
    field = options.model_fields.get("scale")
    if field is None:
        return 1 if options.answers == "image" and not hasattr(options, "module") else None
    return at(values, "model.scale") or field.default
