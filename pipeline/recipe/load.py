"""From a YAML file and dotted overrides to a checked recipe; all that is wrong is reported together."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe.schema import SOURCE_MODALITY, Recipe, bare_names

MAX_FILE_BYTES = 1 << 20
_PATH_KEYS = (("store",), ("data", "source", "path"))


class RecipeError(ZoetropeError):
    """A recipe that cannot be run; the message lists everything that is wrong, a line each."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that also refuses what would be silently lost or blown up: duplicate keys and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed", problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key_node.value!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, follow its `extends`, apply `a.b.c=value` overrides and check the whole.

    Relative paths in a file resolve against that file's folder, those in an override against the current folder.
    Raises RecipeError with every problem of the recipe, each with its dotted path.
    """
    path = Path(path)
    values = _read(path, ())
    problems = []
    for override in overrides:
        try:
            _override(values, override)
        except RecipeError as error:
            problems.append(str(error))
    return check(values, str(path), path.parent, problems)


def check(values: Mapping[str, Any], where: str, folder: Path = Path(), problems: Sequence[str] = ()) -> Recipe:
    """A recipe from plain values, as `load` makes it from a file; `where` names it in errors."""
    problems = list(problems)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        problems += [_sentence(item, values) for item in error.errors(include_url=False)]
    else:
        problems += _cross_checks(recipe)
        if "store" not in values:
            recipe = recipe.model_copy(update={"store": str(folder.resolve() / recipe.store)})
    if problems:
        problems += transform_problems(values)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise RecipeError(f"{where}: {count}\n" + "\n".join(f"  {problem}" for problem in problems))
    return recipe


def plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON-like values, as it is stored with a run and fingerprinted."""
    return recipe.model_dump(mode="json")


def transform_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the transforms of plain values; loads albumentations, which takes two seconds."""
    section = values.get("augment")
    specs = section if isinstance(section, Mapping) else {}
    named = {name: specs[name] for name in ("train", "eval") if isinstance(specs.get(name), list)}
    if not named:
        return []
    from augment.transforms import check

    return [problem for name, spec in named.items() for problem in check(bare_names(spec), f"augment.{name}")]


def _read(path: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    """The file's values, merged over those of the recipe that it extends."""
    resolved = path.resolve()
    if resolved in chain:
        raise RecipeError(f"{path}: extends itself through {' -> '.join(p.name for p in (*chain, resolved))}")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RecipeError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB; that is no recipe")
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (_Loader is a SafeLoader)
    except FileNotFoundError:
        raise RecipeError(_no_file(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: is not valid YAML: {_yaml_problem(error)}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, such as `name: my-run`")
    _resolve_paths(values, resolved.parent)
    base = values.pop("extends", None)
    if base is None:
        return values
    return _merge(_read(resolved.parent / str(base), (*chain, resolved)), values)


def _no_file(path: Path) -> str:
    folder = path.parent
    siblings = [p.name for p in folder.glob("*.yaml")] if folder.is_dir() else []
    hint = "; " + unknown("recipe", path.name, siblings) if siblings else ""
    return f"{path}: there is no such file{hint}"


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else problem


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge, everything else is replaced; so is a choice whose `kind` changes, as its options go with it."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        same_choice = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("kind", old.get("kind")) == old.get("kind")
        )
        merged[key] = _merge(old, value) if same_choice else value
    return merged


def _override(values: dict[str, Any], text: str) -> None:
    """Apply one `a.b.c=value`; the value is read as YAML."""
    dotted, equals, value_text = text.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"{text!r}: an override is written as key.subkey=value, such as train.duration=10ep")
    try:
        value = yaml.load(value_text, _Loader)  # noqa: S506 (_Loader is a SafeLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{text!r}: the value is not valid YAML: {_yaml_problem(error)}") from None
    layer: dict[str, Any] = {keys[-1]: value}
    for key in reversed(keys[:-1]):
        layer = {key: layer}
    _resolve_paths(layer, Path.cwd())
    at: Any = values
    for key in keys[:-1]:
        layer = layer[key]
        at = at.setdefault(key, {})
        if not isinstance(at, dict):
            raise RecipeError(f"{dotted}: {key!r} is not a section; give it a whole value, such as {key}=...")
    at[keys[-1]] = layer[keys[-1]]


def _resolve_paths(values: dict[str, Any], folder: Path) -> None:
    """Make the paths of one layer absolute, in place; URLs stay as they are."""
    for *parents, last in _PATH_KEYS:
        at: Any = values
        for key in parents:
            at = at.get(key) if isinstance(at, dict) else None
        if isinstance(at, dict) and isinstance(at.get(last), str) and "://" not in at[last]:
            at[last] = os.path.normpath(folder.resolve() / Path(at[last]).expanduser())


def _cross_checks(recipe: Recipe) -> list[str]:
    """What no section can see alone."""
    problems = []
    modality = recipe.task.modality
    source = recipe.data.source.kind
    if SOURCE_MODALITY.get(source, modality) != modality:
        problems.append(
            f"data.source.kind: {source} makes {SOURCE_MODALITY[source]}s, but task.kind is {recipe.task.kind}"
        )
    if recipe.model.eats != modality:
        problems.append(
            f"model.kind: {recipe.model.kind} takes {recipe.model.eats}s, but task.kind is {recipe.task.kind}"
        )
    last = recipe.augment.eval[-1] if recipe.augment.eval else {}
    if recipe.evaluate.crops == 3 and "CenterCrop" not in last:
        problems.append("evaluate.crops: three crops take the place of a CenterCrop; let augment.eval end with one")
    if recipe.cluster.workers > recipe.train.batch_size:
        problems.append(
            f"cluster.workers: {recipe.cluster.workers} workers cannot share a batch of {recipe.train.batch_size}; "
            "lower it or raise train.batch_size"
        )
    return problems


def _sentence(item: Any, values: Any) -> str:
    """One line for one pydantic error: dotted path, what is wrong, what is right."""
    location, model = _walk(item["loc"], values)
    path = ".".join(location)
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: {unknown('key', location[-1], model.model_fields if model else [])}"
    if kind == "missing":
        return f"{path}: is missing"
    if kind == "union_tag_not_found":
        return f"{path}: says no kind; write {path}: {{kind: ...}}"
    if kind == "union_tag_invalid":
        names = [name.strip(" '") for name in context["expected_tags"].split(",")]
        return f"{path}.kind: {unknown('kind', str(context['tag']), names)}"
    if kind == "literal_error":
        return f"{path}: {item['input']!r} is not allowed; allowed are {context['expected']}"
    if kind == "value_error":
        return f"{path}: {context['error']}"
    message = item["msg"][0].lower() + item["msg"][1:]
    return f"{path}: {message}, not {item['input']!r}"


def _walk(loc: Sequence[str | int], values: Any) -> tuple[list[str], type[BaseModel] | None]:
    """The location as the user wrote it, without the tags that pydantic adds for choices, and the section of its last key."""
    names: list[str] = []
    holder: type[BaseModel] | None = None
    section: type[BaseModel] | None = Recipe
    for part in loc:
        if isinstance(values, Mapping) and part == values.get("kind") and part not in values:
            continue
        names.append(str(part))
        if isinstance(values, Mapping):
            values = values.get(part)
        else:
            values = (
                values[part]
                if isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
                else None
            )
        holder, section = section, _section(section, part, values)
    return names, holder


def _section(parent: type[BaseModel] | None, key: str | int, values: Any) -> type[BaseModel] | None:
    """The model of a section below `parent`: for a choice, the one of the kind that `values` names."""
    if parent is None or key not in parent.model_fields:
        return None
    annotation = parent.model_fields[str(key)].annotation
    kind = values.get("kind") if isinstance(values, Mapping) else None
    for member in (annotation, *get_args(annotation)):
        if isinstance(member, type) and issubclass(member, BaseModel):
            kinds = get_args(member.model_fields["kind"].annotation) if "kind" in member.model_fields else (kind,)
            if kind in kinds:
                return member
    return None
