"""From a YAML file, those that it extends and dotted overrides to the plain values of a recipe."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.official import names
from models.source import is_name
from pipeline.base.errors import brief, nearest
from pipeline.base.files import read_small
from pipeline.base.job import in_job
from pipeline.base.plain_yaml import MAX_DEPTH, parse_yaml
from pipeline.recipe.flow import is_elsewhere
from pipeline.recipe.schema import Recipe
from pipeline.recipe.validate import RecipeError, check, with_policies

MAX_FILE_BYTES = 1 << 20
MAX_FILES = 16
"""Of a chain of `extends`."""
_PATH_KEYS = (
    ("store",),
    ("data", "source", "path"),
    ("data", "source", "root"),
    ("data", "source", "annotations"),
    ("data", "source", "masks"),
    ("data", "source", "instances"),
    ("data", "source", "targets"),
    ("data", "source", "classes"),
    ("data", "source", "labels"),
    ("data", "source", "sets"),
    ("data", "source", "urls"),
    ("data", "source", "val_urls"),
    ("data", "source", "test_urls"),
    ("data", "source", "of", "*", "path"),
    ("data", "source", "of", "*", "root"),
    ("data", "source", "of", "*", "annotations"),
    ("data", "source", "of", "*", "masks"),
    ("data", "source", "of", "*", "instances"),
    ("data", "source", "of", "*", "targets"),
    ("data", "source", "of", "*", "classes"),
    ("data", "source", "of", "*", "labels"),
    ("data", "source", "of", "*", "sets"),
    ("shard", "flow", "x"),
    ("shard", "flow", "y"),
    ("model", "weights"),
    ("loss", "distill", "teacher"),
)
_LISTS = ("urls", "val_urls", "test_urls")
"""Keys whose lists are of paths."""


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, follow its `extends`, apply `a.b.c=value` overrides and check the whole.

    Relative paths in a file resolve against that file's folder, those in an override against the current folder.
    Raises RecipeError with every problem of the recipe, each with its dotted path.
    """
    path = Path(path)
    values = _read(path, ())
    problems = []
    # Kinds first: a new kind drops the options of the old one, and must not drop those that are given beside it.
    for override in sorted(overrides, key=lambda text: not text.partition("=")[0].strip().endswith(".kind")):
        try:
            _override(values, override)
        except RecipeError as error:
            problems.append(str(error))
    return check(values, str(path), path.parent, problems)


def _read(path: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    """Read the file's values, merged over those of the recipe that it extends."""
    resolved = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for a link to itself
    if resolved in chain:
        raise RecipeError(f"{path}: extends itself: {' -> '.join(p.name for p in (*chain, resolved))}")
    if len(chain) == MAX_FILES:
        raise RecipeError(f"{chain[0]}: extends a chain of more than {MAX_FILES} files; write them into fewer")
    try:
        content = read_small(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        by = f" (`extends` of {chain[-1].name})" if chain else ""
        sent = " (a job gets no files that git ignores)" if in_job() else ""
        raise RecipeError(f"{path}: there is no such file{by}{sent}{_others(path)}") from None
    except IsADirectoryError:
        others = _others(path / "recipe.yaml") or f"; python -m pipeline init {shlex.quote(str(path))} writes one"
        raise RecipeError(f"{path}: is a folder, and a recipe is a file{others}") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise RecipeError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB; that is no recipe")
    try:
        values = parse_yaml(content.decode())
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: is no text in UTF-8; a recipe is a YAML file") from None
    except ValueError as error:
        raise RecipeError(f"{path}: is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, such as `name: my-run`")
    _resolve_paths(values, resolved.parent)
    try:
        layer = with_policies(values, resolved.parent)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    base = layer.pop("extends", None)
    if base is None:
        return layer
    if not isinstance(base, str):
        raise RecipeError(f"{path}: extends: write the name of one file, not {brief(base)}")
    return _merge(_read(resolved.parent / base, (*chain, resolved)), layer)


def _others(path: Path) -> str:
    """Return what to write in place of a recipe that is not there."""
    try:
        names = sorted(p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml"))
    except OSError:
        names = []
    by_stem = {Path(name).stem: name for name in names}
    if near := nearest(path.stem, by_stem):
        return f"; did you mean {path.with_name(by_stem[near[0]])}?"
    return f"; in {path.parent} there are {', '.join(names[:10])}" if names else ""


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two values: mappings merge, everything else is replaced.

    So is a choice whose `kind` changes, as its options go with it.
    """
    merged = dict(base)
    for key, value in over.items():
        old: Any = merged.get(key)
        same_choice = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("kind", old.get("kind")) == old.get("kind")
        )
        merged[key] = _merge(old, value) if same_choice else value
    return merged


def _override(values: dict[str, Any], text: str) -> None:
    """Set `a.b.c` to what stands behind `=`, read as YAML; a new `kind` drops the options of the old one."""
    dotted, equals, value_text = text.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys) or len(keys) > MAX_DEPTH:
        raise RecipeError(f"{brief(text)}: an override is written as key.subkey=value, such as train.duration=10ep")
    try:
        value = parse_yaml(value_text)
    except ValueError as error:
        raise RecipeError(f"{brief(text)}: the value is not valid YAML: {error}") from None
    set_key(values, dotted.strip(), value)


def set_key(values: dict[str, Any], dotted: str, value: Any) -> None:
    """Set one key of plain values, in place; a new `kind` drops the options of the old one.

    Relative paths resolve against the current folder. RecipeError where the key cannot be.
    """
    keys = dotted.split(".")
    layer: dict[str, Any] = {keys[-1]: value}
    for key in reversed(keys[:-1]):
        layer = {key: layer}
    _resolve_paths(layer, Path.cwd())
    layer = with_policies(layer, Path.cwd())
    at: Any = values
    for depth, key in enumerate(keys[:-1], 1):
        layer = layer[key]
        at = at.setdefault(key, {})
        if not isinstance(at, dict):
            section = ".".join(keys[:depth])
            raise RecipeError(f"{dotted}: {section} holds no keys; give it a whole value: {section}=...")
    if keys[-1] == "kind" and at.get("kind") != value:
        at.clear()
    at[keys[-1]] = layer[keys[-1]]


def _resolve_paths(values: dict[str, Any], folder: Path) -> None:
    """Make the paths of one layer absolute, in place; URLs stay as they are."""
    for path_key in _PATH_KEYS:
        *parents, last = path_key
        for at in _sections(values, parents):
            value = at.get(last)
            if isinstance(value, str) and not _is_name(path_key, value, folder):
                at[last] = _absolute(value, folder)
            elif isinstance(value, list) and last in _LISTS:
                at[last] = [_absolute(one, folder) if isinstance(one, str) else one for one in value]


def _is_name(path_key: Sequence[str], value: str, folder: Path) -> bool:
    """Tell whether a value is a name and no path: a run, official weights, or how files of flow are called.

    A word of `model.weights` that is neither official nor a file or folder there may be a run's.
    """
    if path_key[-1] == "teacher":
        return "/" not in value
    if path_key[:-1] == ("shard", "flow"):
        return not is_elsewhere(value)
    return path_key[-1] == "weights" and is_name(value) and (value in names() or not os.path.exists(folder / value))


def _absolute(path: str, folder: Path) -> str:
    return path if "://" in path else os.path.normpath(folder.resolve() / Path(path).expanduser())


def _sections(values: Any, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the mappings at a chain of keys, of which `*` stands for all."""
    found = [values]
    for key in keys:
        found = [
            value for at in found if isinstance(at, dict) for value in (at.values() if key == "*" else [at.get(key)])
        ]
    return [at for at in found if isinstance(at, dict)]
