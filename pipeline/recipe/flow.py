"""What follows from `shard.flow` and `clip.flow`: the model's channels, and what a recipe cannot have beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from models.options import OPTIONS
from models.options.own import options_of
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.tasks import TaskSection
from pipeline.recipe.values import at, word

IN, FLOW_CHANNELS = "in_channels", "flow_channels"
BOTH = "video+flow"
"""What two-stream models eat."""
VIDEO = "{video}"
"""In the place of files of flow, what stands for the video's name."""
ASKED = "shard.flow={method: dis, limit_px: 20}"


def is_elsewhere(pattern: str) -> bool:
    """Tell whether `shard.flow.x` or `.y` says where files lie, and not only how they are called."""
    return "/" in pattern


def placed(pattern: str, video: PurePath, is_folder: bool) -> tuple[Path, str]:
    """Return the folder with an axis' files and how they are called, of a `video` that is a folder of frames or a file.

    pattern: of names beside the frames, or a path in which {video} stands for the video's name
    """
    if not is_elsewhere(pattern):
        return Path(video), pattern
    folder, _, names = pattern.replace(VIDEO, video.name if is_folder else video.stem).rpartition("/")
    return Path(folder), names


def flow_folders(values: Mapping[str, Any]) -> list[str]:
    """Return the folders with files of flow that lie elsewhere than their frames, as far as they are of all videos."""
    flow = at(values, "shard.flow")
    if not isinstance(flow, Mapping) or flow.get("method") != "files":
        return []
    said = [str(flow.get(axis, "")) for axis in "xy"]
    return [one.partition(VIDEO)[0].rpartition("/")[0] for one in said if is_elsewhere(one)]


def with_flow_channels(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe whose model takes as many channels as `clip.flow` gives, where it says nothing."""
    model, fields = values.get("model"), at(values, "clip.flow")
    if not isinstance(fields, int) or not isinstance(model, Mapping):
        return dict(values)
    key = FLOW_CHANNELS if _eats(word(values, "model.kind")) == BOTH else IN
    if not _has(word(values, "model.kind"), key):
        return dict(values)
    return {**values, "model": {key: 2 * fields, **model}}


def flow_problems(values: Mapping[str, Any], task: TaskSection, sources: Sequence[str]) -> list[str]:
    """Refuse flow that cannot be had; `sources` are the dotted keys of the sources."""
    stored, fields = at(values, "shard.flow"), at(values, "clip.flow")
    if task.modality != "video":
        return [
            f"{key}.flow: is of videos, and task.kind is {task.kind}; leave it out"
            for key, given in (("shard", stored), ("clip", fields))
            if given is not None
        ]
    problems = [] if stored is None else _stored_problems(values, sources)
    model = word(values, "model.kind")
    if fields is None:
        if _eats(model) == BOTH:
            problems.append(
                f"model.kind: {model} looks at flow beside the frames; ask for both, with {ASKED} and "
                f"clip.flow={_published(model, FLOW_CHANNELS) // 2}"
            )
        return problems
    if stored is None:
        problems.append(f"clip.flow: the shards hold no flow; ask for it, with {ASKED}, or leave clip.flow out")
    if isinstance(fields, int):
        problems += _model_problems(values, model, fields)
    if at(values, "loss.distill"):
        problems.append("loss.distill: a teacher looks at frames, and clip.flow gives flow; leave one of the two out")
    if _eats(model) != BOTH and "measure" in (at(values, "augment.mean"), at(values, "augment.std")):
        problems.append("augment.mean: the model looks at flow alone, whose mean is known; leave measure out")
    return problems


def _stored_problems(values: Mapping[str, Any], sources: Sequence[str]) -> list[str]:
    problems = []
    if at(values, "shard.video.transcode") is False:
        problems.append("shard.flow: is of videos as they are encoded anew; set shard.video.transcode to true")
    for where in sources:
        kind = word(values, f"{where}.kind")
        if kind == "webdataset":
            problems.append(
                f"shard.flow: tars that stay where they are, {where}, get no members; give the videos themselves, by "
                "folder or table"
            )
        elif (
            word(values, "shard.flow.method") == "files"
            and not flow_folders(values)
            and kind != "frames"
            and not at(values, f"{where}.fps")
        ):
            problems.append(
                f"shard.flow.method: files lie beside the frames of a video, and {where}.kind {kind} gives videos; set "
                f"it to dis, or take a source of frames, by {where}.kind frames or {where}.fps"
            )
    places = {axis: word(values, f"shard.flow.{axis}") for axis in "xy"}
    apart = {axis: place for axis, place in places.items() if is_elsewhere(place)}
    for axis, place in apart.items() if word(values, "shard.flow.method") == "files" else ():
        example = "as in ./tvl1_flow/u/{video}/*.jpg"
        if VIDEO not in place.rpartition("/")[0] or "://" in place:
            problems.append(
                f"shard.flow.{axis}: {place} says where files of flow lie, in folders of which each has the name of "
                f"its video; write {VIDEO} where that stands, {example}"
            )
        elif len(apart) == 1:
            problems.append(
                f"shard.flow: {axis} says where files lie, and the other axis does not; write both, {example}"
            )
    return problems


def _model_problems(values: Mapping[str, Any], model: str, fields: int) -> list[str]:
    """Refuse a model that takes no flow, or of another number of channels."""
    key = FLOW_CHANNELS if _eats(model) == BOTH else IN
    if not model or _eats(model) == "":
        return []
    if not _has(model, key):
        names = [name for name, one in OPTIONS.items() if one.modality() == "video" and IN in one.model_fields]
        return [f"clip.flow: {model} looks at frames alone; models that take flow are: {', '.join(names)}"]
    takes = at(values, f"model.{key}")
    if isinstance(takes, int) and takes != 2 * fields:
        return [
            f"model.{key}: {takes} channels, and clip.flow={fields} gives {2 * fields}, x and y of each field; leave "
            "it out"
        ]
    return []


def _eats(model: str) -> str:
    """Return what a model eats; "" where there is no such model, which is said elsewhere."""
    try:
        return options_of(model).eats
    except ZoetropeError:
        return ""


def _has(model: str, key: str) -> bool:
    return bool(_eats(model)) and key in options_of(model).model_fields


def _published(model: str, key: str) -> int:
    return int(options_of(model).model_fields[key].default)
