"""The JSON schema of a recipe as it is written, for editors that complete and check: `python -m pipeline schema`.

A file may leave out what another gives by `extends`, so no key is required but in a file that extends none. The kept
copy is made by `python -m pipeline.recipe.json_schema > pipeline/recipe/recipe.schema.json`.
"""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from pipeline.base.imports import without
from pipeline.recipe.duration import Length
from pipeline.recipe.reference import meanings, text_of
from pipeline.recipe.schema import Recipe, Workers
from pipeline.recipe.section import sections
from pipeline.recipe.space import Domain

KEPT = Path(__file__).with_name("recipe.schema.json")
NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
"""A number that YAML 1.1 takes for text, as `5e-4`."""
LENGTH = r"^\s*\d+(\.\d+)?\s*(ep|st|%|[kMG]?sa)\s*$"
DOMAIN = r"^\s*\w+\(.*\)\s*$"
OWN = {"type": "object", "properties": {"kind": {"pattern": ":"}}, "required": ["kind"]}
"""A class of one's own: `kind: my_package:MyNet`."""
WHOLE = ("name", "task", "data", "model", "augment", "optimizer", "train")


class _Written(GenerateJsonSchema):
    """Turns what pydantic says of checked values into what people write."""

    def model_schema(self, schema: Any) -> Any:
        section = schema["cls"]
        found = super().model_schema(schema)
        found.pop("required", None)
        told = meanings(section)
        for name, value in found.get("properties", {}).items():
            value["description"] = text_of(told.get(name, "") or _of_section(section, name))
        return {"anyOf": [{"type": "integer", "minimum": 1}, found]} if section is Workers else found

    def tagged_union_schema(self, schema: Any) -> Any:
        found = super().tagged_union_schema(schema)
        found.pop("discriminator", None)
        return {"anyOf": found.pop("oneOf"), **found} if "oneOf" in found else found

    def float_schema(self, schema: Any) -> Any:
        return {"anyOf": [super().float_schema(schema), {"type": "string", "pattern": NUMBER}]}

    def dataclass_schema(self, schema: Any) -> Any:
        if schema["cls"] is Length:
            return {"type": "string", "pattern": LENGTH, "description": "90ep, 2000st, 1.2Msa or 5%"}
        if schema["cls"] is Domain:
            return {"type": "string", "pattern": DOMAIN, "description": "loguniform(0.01, 1), choice(a, b)"}
        return super().dataclass_schema(schema)


def _of_section(section: type[BaseModel], name: str) -> str:
    """Return what is known of a key that has no words of its own: what its section, or that of its kind, means."""
    inner = sections(section.model_fields[name].annotation)
    if name == "kind":
        return inspect.getdoc(section) or ""
    kinds = [
        kind for one in inner if "kind" in one.model_fields for kind in get_args(one.model_fields["kind"].annotation)
    ]
    if kinds:
        return f"A choice: {', '.join(kinds)}."
    return (inspect.getdoc(inner[0]) or "") if inner else name.replace("_", " ")


def json_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema, draft 2020-12)."""
    found = Recipe.model_json_schema(schema_generator=_Written)
    properties = found["properties"]
    properties["extends"] = {
        "type": "string",
        "description": "A recipe beside this file, which gives all that this one does not say.",
    }
    properties["model"] = {"anyOf": [*properties["model"].pop("anyOf"), OWN], **properties["model"]}
    properties["task"] = {"anyOf": [*properties["task"].pop("anyOf"), OWN], **properties["task"]}
    found["$defs"]["Transform"] = _transforms()
    augment = found["$defs"]["Augment"]["properties"]
    for name in ("train", "eval"):
        augment[name] |= {"items": {"$ref": "#/$defs/Transform"}}
    keys = {"enum": sorted(dotted_keys(Recipe))}
    found["$defs"]["Tune"]["properties"]["space"]["propertyNames"] = {"anyOf": [keys, {"pattern": r"^[a-z_]+\."}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of Zoetrope",
        **{key: value for key, value in found.items() if key != "title"},
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": list(WHOLE)},
    }


def dotted_keys(section: type[BaseModel], path: str = "") -> Iterator[str]:
    """Yield the dotted keys of a section and of all below it, of every kind: `optimizer.lr`."""
    for name, field in section.model_fields.items():
        dotted = f"{path}.{name}" if path else name
        inner = sections(field.annotation)
        if not inner or Workers in inner:
            yield dotted
        for one in inner if Workers not in inner else ():
            yield from dotted_keys(one, dotted)


def _transforms() -> dict[str, Any]:
    """Return the schema of one transform: its name, or its name and parameters."""
    with without("torch"):
        from augment.build import NEEDING, NESTING, TRANSFORMS

        known = sorted({*TRANSFORMS, *NESTING, *NEEDING})
    parameters = {"anyOf": [{"type": "object"}, {"type": "null"}]}
    named = {
        "type": "object",
        "properties": dict.fromkeys(known, parameters),
        "patternProperties": {":": parameters},
        "additionalProperties": False,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": known}, {"type": "string", "pattern": ":"}, named]}


def text() -> str:
    """Return the schema as text."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=0) + "\n"


if __name__ == "__main__":
    print(text(), end="")
