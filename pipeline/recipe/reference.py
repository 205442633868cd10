"""The recipe reference, made from the models: `python -m pipeline.recipe.reference > docs/recipe.md`."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.recipe.duration import Length, parse
from pipeline.recipe.schema import Recipe, Workers
from pipeline.recipe.section import sections
from pipeline.recipe.space import Domain

HEAD = """# Recipe reference

Every key of a recipe. This page is made from the code: `python -m pipeline.recipe.reference > docs/recipe.md`.

A choice is written as `{kind: name, its keys}`. A duration is written as epochs (`90ep`), optimizer steps (`2000st`) or
samples (`1.2Msa`), a share of the whole training as `5%`. `extends: other.yaml`, a file beside this one, gives all that
a recipe does not say itself. [Sources](sources.md) has an example of each kind of `data.source`.
"""
WORDS = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Any: "anything",
    Length: "duration",
    Workers: "integer > 0 or a section",
    Domain: "domain",
}


def reference() -> str:
    """Return the whole page, Markdown."""
    return HEAD + "".join(_section(Recipe, "", "The whole"))


def _section(model: type[BaseModel], path: str, title: str) -> Iterator[str]:
    """Yield a heading, what the section means, its keys as a table, and then the sections in it."""
    yield f"\n## {title}\n\n{text_of(inspect.getdoc(model) or '')}\n"
    told = meanings(model)
    rows, inner = [], []
    for name, field in model.model_fields.items():
        dotted = f"{path}.{name}" if path else name
        found = sections(field.annotation)
        if found:
            inner += [(section, dotted, type(field.default) is section) for section in found]
        is_kind = name == "kind" and path
        if field.annotation is Workers or not (found or is_kind):
            rows.append(f"| `{dotted}` | {_type(field)} | {_default(field)} | {_cell(told.get(name, ''))} |\n")
    if rows:
        yield "\n| key | type | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
    for section, dotted, is_default in inner:
        kinds = get_args(section.model_fields["kind"].annotation) if "kind" in section.model_fields else ()
        title = f"`{dotted}: {{kind: {' | '.join(kinds)}}}`" if kinds else f"`{dotted}`"
        title += " (default)" if kinds and is_default else ""
        yield from _section(section, dotted, title)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Map each key -> the docstring below it, or its description."""
    found = {name: field.description or "" for name, field in model.model_fields.items()}
    for base in reversed(model.__mro__):
        if not (issubclass(base, BaseModel) and base is not BaseModel):
            continue
        (declared,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = declared.body if isinstance(declared, ast.ClassDef) else []
        for key, below in pairwise(body):
            if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name) and isinstance(below, ast.Expr):
                found[key.target.id] = inspect.cleandoc(ast.literal_eval(below.value))
    return found


def _type(field: FieldInfo) -> str:
    if field.annotation is Length:
        is_share = any(getattr(part, "func", None) is parse for part in field.metadata)
        return "duration or share" if is_share else "duration"
    return _name(field.annotation, field.metadata)


def _name(annotation: Any, metadata: Any = ()) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        more = [part for one in inside[1:] for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return _name(inside[0], more)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(_name(member) for member in inside if member is not NoneType)
    if origin in (list, tuple):
        many = (
            [part.max_length for part in metadata if hasattr(part, "max_length")] if origin is list else [len(inside)]
        )
        return f"list of {many[0]}: {_name(inside[0])}" if many else f"list of {_name(inside[0])}"
    if origin is dict:
        return "transforms" if get_origin(inside[1]) is dict else f"mapping of {_name(inside[0])} to {_name(inside[1])}"
    if annotation not in WORDS and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        (kind,) = get_args(annotation.model_fields["kind"].annotation)
        return f"`{kind}`"
    return " ".join([WORDS.get(annotation, str(annotation)), *_limits(metadata)])


def _limits(metadata: Any) -> Iterator[str]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}
    found = {name: value for part in metadata for name in signs if (value := getattr(part, name, None)) is not None}
    found = {name: value for name, value in found.items() if value < 2**53}
    for name, value in found.items():
        yield f"{signs[name]} {value}" + ("," if name != list(found)[-1] else "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = None if field.default_factory else field.default
    shown = str(value) if isinstance(value, Length | Workers) else json.dumps(value).strip('"')
    return "" if value is None else f"`{shown}`"


def text_of(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text_of(text).replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
