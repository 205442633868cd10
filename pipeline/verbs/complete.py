"""What a shell completes: recipes, keys and their values, runs. Quick, as each press of the tab key waits for it."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.recipe.json_schema import KEPT

FOLDERS = (".", "recipes")


def recipes(incomplete: str) -> list[str]:
    """Complete the file of a recipe: those of this folder and of `recipes`, else of the folder that is typed."""
    folder = Path(incomplete.rpartition("/")[0] or "/") if "/" in incomplete else None
    folders = [folder] if folder else [Path(name) for name in FOLDERS]
    found = sorted(str(path) for one in folders if one.is_dir() for path in one.glob("*.y*ml"))
    inner = sorted(f"{path}/" for path in folder.iterdir() if path.is_dir()) if folder and folder.is_dir() else []
    return [name for name in (*found, *inner) if name.startswith(incomplete) and name != incomplete]


def changes(incomplete: str) -> list[str]:
    """Complete `key=value`: keys first, and behind `=` the values that a key may have."""
    key, equals, value = incomplete.partition("=")
    known = keys()
    if equals:
        return [f"{key}={one}" for one in known.get(key, ()) if one.startswith(value)]
    return [f"{one}=" for one in known if one.startswith(incomplete)]


@cache
def keys() -> dict[str, tuple[str, ...]]:
    """Map each dotted key of a recipe -> the words that it may be; none where it may be anything."""
    schema = json.loads(KEPT.read_text(encoding="utf-8"))
    found: dict[str, set[str]] = {}
    for key, words in _keys(schema, schema["$defs"], ""):
        found.setdefault(key, set()).update(words)
    return {key: tuple(sorted(words)) for key, words in sorted(found.items()) if key != "extends"}


def _keys(schema: dict[str, Any], defs: dict[str, Any], path: str) -> Iterator[tuple[str, list[str]]]:
    for section in _choices(schema, defs):
        for name, value in section.get("properties", {}).items():
            dotted = f"{path}.{name}" if path else name
            choices = list(_choices(value, defs))
            if any("properties" in one for one in choices) and dotted != "tune.space":
                yield from _keys(value, defs, dotted)
            else:
                yield dotted, [word for one in choices for word in _words(one)]


def _choices(schema: dict[str, Any], defs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        yield from _choices(defs[schema["$ref"].rpartition("/")[2]], defs)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _choices(one, defs)
    else:
        yield schema


def _words(schema: dict[str, Any]) -> list[str]:
    if schema.get("type") == "boolean":
        return ["false", "true"]
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return [str(word) for word in words]
