"""Plain values to a checked recipe; all that is wrong is reported together, each with its dotted path."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pipeline.base import plugins
from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError, brief, cut, nearest, unknown
from pipeline.base.imports import without
from pipeline.base.redact import redact, redact_values
from pipeline.recipe import guesses
from pipeline.recipe.channels import with_channels
from pipeline.recipe.combos import cross_problems, task_section
from pipeline.recipe.flow import with_flow_channels
from pipeline.recipe.posing import with_body
from pipeline.recipe.schema import Recipe, bare_names
from pipeline.recipe.section import without_late
from pipeline.recipe.tasks import fitting_models
from pipeline.recipe.values import at

MOST_LINES, LONGEST_LINE = 50, 2000
MEANT = "did you mean"


class RecipeError(ZoetropeError):
    """A recipe that cannot be run; the message lists everything that is wrong, a line each."""


RIDING = {
    "mask": frozenset({"mask"}),
    "objects": frozenset({"boxes"}),
    "keypoints": frozenset({"keypoints"}),
    "image": frozenset({"picture"}),
}
"""What rides with the pixels of a task whose models answer so."""


def check(values: Mapping[str, Any], where: str, folder: Path = Path(), problems: Sequence[str] = ()) -> Recipe:
    """Make a recipe from plain values, as `load` makes it from a file; `where` names it in errors.

    Paths of policy files are relative to `folder`.

    `problems` are those known already. Transforms are looked at only when something else is wrong, to report all
    together: that loads albumentations, which a run that has nothing to do should not wait for.
    """
    found = list(problems)
    if isinstance(feed := values.get("feed"), Mapping):
        values = {**values, "feed": {"kind": "local", **feed}}
    try:
        values = with_policies(values, folder)
    except RecipeError as error:
        found.append(str(error))
    values = with_body(with_flow_channels(with_channels(values)))
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        found += _sentences(error, values) + cross_problems(values)
        raise recipe_error(where, found + transform_problems(values, _riding(values))) from None
    if found := found + cross_problems(plain(recipe)):
        raise recipe_error(where, found + transform_problems(values, _riding(values)))
    return recipe


def with_policies(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the values with what policy files hold in place of their paths, which are relative to `folder`.

    So the recipe that is fingerprinted, stored and sent to other machines holds the policy itself. RecipeError for a
    file that is no policy.
    """
    from augment.policy import inline

    section = values.get("augment")
    if not isinstance(section, Mapping):
        return dict(values)
    held = {}
    for name, spec in section.items():
        try:
            held[name] = inline(spec, folder) if isinstance(spec, list) else spec
        except ZoetropeError as error:
            raise RecipeError(f"augment.{name}: {error}") from error
    return {**values, "augment": held}


def plain(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON-like values, as it is stored with a run and fingerprinted."""
    found: dict[str, Any] = without_late(recipe, recipe.model_dump(mode="json"))
    return found


def recipe_error(where: str, problems: Sequence[str]) -> RecipeError:
    """Make the error for all of `problems`, without secrets that a value may hold."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"  {cut(redact(problem), LONGEST_LINE)}" for problem in problems[:MOST_LINES]]
    more = [f"  and {len(problems) - MOST_LINES} more"] if len(problems) > MOST_LINES else []
    return RecipeError("\n".join([f"{where}: {count}", *lines, *more]))


def transform_problems(
    values: Mapping[str, Any], riding: Mapping[str, frozenset[str]] = {}, bands: Bands = RGB
) -> list[str]:
    """Return what is wrong with the transforms of plain values; loads albumentations.

    riding: what goes through `train` and `eval` with the pixels, where the task says so
    bands: what the pictures are
    """
    section = values.get("augment")
    specs = section if isinstance(section, Mapping) else {}
    named = {name: specs[name] for name in ("train", "eval") if name in specs}
    if not named:
        return []
    with without("torch"):  # albumentations loads it, which takes longer than the rest of `plan`, and needs none of it
        from augment.rides import Rides
        from augment.transforms import check as check_transforms

    return [
        line
        for name, spec in named.items()
        for line in check_transforms(bare_names(spec), f"augment.{name}", Rides(riding.get(name, frozenset())), bands)
    ]


def _riding(values: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return what goes through the transforms by the task's section alone, of values that may be wrong elsewhere."""
    task = task_section(values)
    kinds = RIDING.get(task.answers, frozenset()) if task else frozenset()
    if at(values, "clip.flow") is not None:
        kinds |= {"flow"}
    kinds |= {"mask"} if task and task.outlines else set()
    return {"train": kinds, "eval": kinds}


def _sentences(error: ValidationError, values: Mapping[str, Any]) -> list[str]:
    """Return a line for each key that pydantic has something against; transforms are left to `transform_problems`."""
    by_path: dict[str, list[str]] = {}
    for item in error.errors(include_url=False)[: 2 * MOST_LINES]:
        if tuple(item["loc"][:2]) in {("augment", "train"), ("augment", "eval")} and item["type"] != "missing":
            continue
        path, sentence = _sentence(item, values)
        by_path.setdefault(path, []).append(sentence)
    # One value may fail twice alike: `cluster.workers: 0` is both its min and its max. Of several things that a value
    # may be, a word that is nearly right was meant.
    found = {path: [one for one in sentences if MEANT in one] or sentences for path, sentences in by_path.items()}
    return [f"{path}: {', or: '.join(dict.fromkeys(sentences))}" for path, sentences in found.items()]


def _sentence(item: Any, values: Any) -> tuple[str, str]:
    """Return dotted path, and what is wrong and what is right, for one pydantic error."""
    path, key, model = _walk(item["loc"], values)
    kind, context = item["type"], item.get("ctx", {})
    given = brief(redact_values({key: item["input"]})[key])
    if kind == "extra_forbidden":
        return path, _unknown_key(path, key, item["input"], model)
    if kind == "missing":
        return path, "is missing"
    if kind == "union_tag_not_found":
        return path, f"says no kind; write {key}: {{kind: ...}}"
    if kind == "union_tag_invalid":
        names = [name.strip(" '") for name in context["expected_tags"].split(",")]
        if path == "model" and (task := task_section(values)):
            names = fitting_models(task)
        tag = str(context["tag"])
        right = guesses.kind(path, tag)
        return f"{path}.kind", f"unknown kind {brief(tag)}; {right}" if right else unknown("kind", tag, names)
    if kind in ("model_type", "model_attributes_type"):
        if isinstance(item["input"], str) and (right := guesses.answer(path, item["input"])):
            return path, redact(f"is a section; {right}")
        is_choice = kind == "model_attributes_type" and isinstance(item["input"], str)
        example = f"{{kind: {item['input']}}}" if is_choice else "{key: value, ...}"
        return path, f"is a section; write {key}: {redact(example)}, not {given}"
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        near = nearest(item["input"], words) if isinstance(item["input"], str) else []
        right = f"{MEANT} {' or '.join(map(repr, near))}?" if near else f"allowed are {context['expected']}"
        return path, f"{given} is not allowed; {right}"
    if kind == plugins.ERROR:
        return f"{path}.kind", context["error"]
    if kind == "value_error":
        return path, str(context["error"])
    if kind == "string_pattern_mismatch":
        return path, f"may hold letters, digits and, but for its first place, '.', '_' and '-', not {given}"
    return path, f"{item['msg'][0].lower()}{item['msg'][1:]}, not {given}"


def _unknown_key(path: str, key: str, value: Any, model: type[BaseModel] | None) -> str:
    """Return what a key that does not exist may be called: what other tools call so, or what looks like it."""
    known = model.model_fields if model else {}
    right = guesses.synonym(path, value) or (None if nearest(key, known) else guesses.elsewhere(path, value))
    return f"unknown key {brief(key)}; {right}" if right else unknown("key", key, known)


def _walk(loc: Sequence[str | int], values: Any) -> tuple[str, str, type[BaseModel] | None]:
    """Return (dotted path as the user would write it, last key, section that the last key stands in) of a pydantic
    location.

    Pydantic adds tags to it: of the kind of a choice, and of the type, as in `dict[str,float]`, where a value may have
    several.
    """
    path, last = "", ""
    holder: type[BaseModel] | None = None
    annotation: Any = Recipe
    for part in loc:
        if isinstance(values, Mapping):
            if part not in values and (part == values.get("kind") or "[" in str(part)):
                continue
            holder = _section(annotation, values)
            if get_origin(annotation) is dict:
                annotation = get_args(annotation)[1]
            else:
                known = holder.model_fields if holder else {}
                annotation = known[str(part)].annotation if part in known else None
            values = values.get(part)
        elif isinstance(values, list | tuple) and isinstance(part, int):
            holder, annotation = None, next(iter(get_args(annotation)), None)
            values = values[part] if part < len(values) else None
        else:
            break
        last = str(part)
        path = f"{path}[{part}]" if isinstance(part, int) else f"{path}.{part}" if path else last
    return path, last, holder


def _section(annotation: Any, values: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the section that a key of this type holds: for a choice, the one of the kind that `values` names."""
    if own := plugins.known(values.get("kind")):
        return own
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for member in get_args(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            field = member.model_fields.get("kind")
            if field is None or values.get("kind") in get_args(field.annotation):
                return member
    return None
