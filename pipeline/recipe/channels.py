"""What follows from `data.channels` and `data.bits`: the model's input, and what a recipe cannot have beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.options import OPTIONS
from models.options.own import options_of
from pipeline.base.bands import COLOURS, RGB, Bands
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.tasks import TaskSection
from pipeline.recipe.values import at, word

IN = "in_channels"
MEASURE = "measure"


def with_channels(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe whose model takes as many channels as the pictures have, where it says nothing.

    What is wrong stays as it is, and `channel_problems` says so.
    """
    model, channels = values.get("model"), at(values, "data.channels")
    if channels in (None, RGB.channels) or not isinstance(model, Mapping) or not _takes(word(values, "model.kind")):
        return dict(values)
    return {**values, "model": {IN: channels, **model}}


def channel_problems(values: Mapping[str, Any], task: TaskSection, sources: Sequence[str]) -> list[str]:
    """Refuse what cannot be had of pictures of other channels or bits; `sources` are the dotted keys of the sources."""
    asked = at(values, "data.channels") or RGB.channels, at(values, "data.bits") or RGB.bits
    if not all(isinstance(number, int) for number in asked):
        return []
    bands = Bands(*asked)
    problems = _model_problems(values, bands, task) + _mean_problems(values, bands)
    if task.answers == "image":
        problems += [
            f"augment.{key}: {MEASURE} is not for task.kind {task.kind}, which says its answers in levels; write "
            "numbers, such as [0, 0, 0] and [1, 1, 1]"
            for key in ("mean", "std")
            if at(values, f"augment.{key}") == MEASURE
        ]
    if bands == RGB:
        return problems
    key = "data.channels" if bands.channels != RGB.channels else "data.bits"
    if task.modality == "video":
        problems.append(f"{key}: videos and folders of frames are RGB of 8 bits, and task.kind is {task.kind}")
    if task.answers == "image":
        problems.append(f"{key}: the pictures of task.kind {task.kind} are RGB of 8 bits; leave it out")
    for where in sources:
        if word(values, f"{where}.kind") == "webdataset":
            problems.append(
                f"{key}: pictures in tars that stay where they are, {where}, are RGB of 8 bits; give the files "
                "themselves, by folder or table, which are stored anew"
            )
    if at(values, "evaluate.crf"):
        problems.append(f"evaluate.crf: compares the colours of RGB pictures of 8 bits, and {key} says {bands}")
    return problems


def _model_problems(values: Mapping[str, Any], bands: Bands, task: TaskSection) -> list[str]:
    model, takes = word(values, "model.kind"), at(values, f"model.{IN}")
    if at(values, "clip.flow") is not None:  # which says it, see `pipeline.recipe.flow`
        return []
    if takes is None and model in OPTIONS and IN in OPTIONS[model].model_fields:
        takes = OPTIONS[model].model_fields[IN].default  # of flow, say
    if isinstance(takes, int) and takes != bands.channels:
        if _takes(model) and options_of(model).model_fields[IN].default == takes != RGB.channels:
            return [
                f"model.kind: {model} takes {takes} channels as it was published, flow, and the data have "
                f"{bands.channels}; ask for flow with shard.flow={{method: dis, limit_px: 20}} and clip.flow="
                f"{takes // 2}, or let it take frames: model.{IN}={bands.channels}"
            ]
        return [
            f"model.{IN}: {takes} channels, and the pictures have {bands.channels}; leave it out, data.channels says it"
        ]
    if bands.channels == RGB.channels or not model or _takes(model):
        return []
    names = [
        name
        for name, one in OPTIONS.items()
        if IN in one.model_fields and (one.modality(), one.answers) == (task.modality, task.answers)
    ]
    return [
        f"data.channels: {model} takes RGB, and no {bands.colours}; models for it are: {', '.join(names) or 'none'}"
    ]


def _mean_problems(values: Mapping[str, Any], bands: Bands) -> list[str]:
    problems = []
    for key, of_grey in (("mean", "[0.449]"), ("std", "[0.226]")):
        given = at(values, f"augment.{key}")
        if isinstance(given, list | tuple) and len(given) != bands.channels:
            hint = f", such as {of_grey}, ImageNet's of grey" if bands.colours == COLOURS[1] else ""
            problems.append(
                f"augment.{key}: has {len(given)} numbers, and the pictures have {bands.channels} channels; give one a "
                f"channel{hint}, or {MEASURE}"
            )
    return problems


def _takes(model: str) -> bool:
    """Tell whether a model's number of channels can be said."""
    try:
        return IN in options_of(model).model_fields
    except ZoetropeError:  # said elsewhere
        return False
