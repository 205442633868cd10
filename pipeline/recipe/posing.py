"""What follows from `task.body`: how many maps a model of key points gives, and what does not go together with it."""

from collections.abc import Mapping
from typing import Any

from models.options.own import options_of
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.bodies import Body, skeleton_of
from pipeline.recipe.tasks import Keypoints
from pipeline.recipe.values import at, word

USUAL = str(Keypoints.model_fields["body"].default)
COUNTS = ("joints", "limbs")
"""Options of models of key points."""


def with_body(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe whose model has the maps of the task's body, where it says nothing.

    What is wrong stays as it is, and `pose_problems` says so.
    """
    model = values.get("model")
    counts = _counts(values)
    if not counts or not isinstance(model, Mapping):
        return dict(values)
    known = _options(values)
    return {**values, "model": {**{key: counts[key] for key in COUNTS if key in known}, **model}}


def pose_problems(values: Mapping[str, Any]) -> list[str]:
    """Return what does not go together in a recipe of key points."""
    counts, known = _counts(values), _options(values)
    if not counts:
        return []
    problems = []
    many = (word(values, "task.persons") or "many") == "many"
    body = at(values, "task.body")
    name = body if isinstance(body, str) else "coco17" if body is None else "the body"
    if many and not counts["limbs"]:
        problems.append(
            "task.body: has no limbs, by which joints of several bodies are told apart; set task.persons=one"
        )
    elif many and known and "limbs" not in known:
        problems.append(
            f"task.persons: {word(values, 'model.kind')} has no affinity fields, by which joints of several bodies are "
            "told apart; set task.persons=one"
        )
    elif many and not _all_together(values):
        problems.append(
            "task.body: limbs leave joints apart, and several bodies are put together along them; add limbs"
        )
    problems += [
        f"model.{key}: is {given}, and task.body {name} has {counts[key]}; leave it out, task.body says it"
        for key in COUNTS
        if key in known and isinstance(given := at(values, f"model.{key}"), int) and given != counts[key]
    ]
    if at(values, "evaluate.flip") and counts["limbs"] and _skeleton(values).mirrored_limbs() is None:
        problems.append("evaluate.flip: a limb of task.body has none on the other side; leave it out, or add that limb")
    return problems


def _counts(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers of joints, and of limbs that are learned; {} where the task is another one or is wrong."""
    skeleton = _skeleton(values)
    if skeleton is None:
        return {}
    many = (word(values, "task.persons") or "many") == "many"
    return {"joints": len(skeleton.joints), "limbs": len(skeleton.limbs) if many else 0}


def _skeleton(values: Mapping[str, Any]) -> Any:
    if word(values, "task.kind") != "keypoints":
        return None
    body = at(values, "task.body")
    try:
        body = (
            Body.model_validate(body) if isinstance(body, Mapping) else body or Keypoints.model_fields["body"].default
        )
        return skeleton_of(body)
    except (ValueError, KeyError):  # said already
        return None


def _all_together(values: Mapping[str, Any]) -> bool:
    """Tell whether all joints hang together by limbs."""
    skeleton = _skeleton(values)
    reached = {0}
    for _ in skeleton.limbs:
        reached |= {joint for limb in skeleton.limbs if reached & {*limb} for joint in limb}
    return len(reached) == len(skeleton.joints)


def _options(values: Mapping[str, Any]) -> Any:
    """Return the fields of the model's options."""
    try:
        return options_of(word(values, "model.kind")).model_fields
    except ZoetropeError:  # said already
        return {}
