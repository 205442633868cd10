"""A recipe as people read it: a line a section, comments beside and above."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

WIDTH = 120


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write a value again that stands there twice: a recipe may have no aliases."""
        return True


def section(key: str, value: Any, why: str = "", offers: Sequence[str] = ()) -> list[str]:
    """Write a section: in one line where it fits, else a line a key; `why` as a comment, `offers` as further ones."""
    line = f"{key}: {flow(value)}"
    comment = f"  # {why}" if why else ""
    below = [text for offer in offers for text in comments(offer)]
    if len(line + comment) <= WIDTH:
        return [line + comment, *below]
    return [*(comments(why) if why else []), *_written(key, value, ""), *below]


def comments(text: str) -> list[str]:
    """Write text as lines of comments."""
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)


def _written(key: str, value: Any, indent: str) -> list[str]:
    line = f"{indent}{key}: {flow(value)}"
    if len(line) <= WIDTH or not value or not isinstance(value, Mapping | list):
        return [line]
    if isinstance(value, Mapping):
        inner = [text for name, one in value.items() for text in _written(flow(name), one, f"{indent}  ")]
    else:
        inner = [f"{indent}  - {flow(one)}" for one in value]
    return [f"{indent}{key}:", *inner]


def flow(value: Any) -> str:
    """Write a value in one line of YAML."""
    plain = yaml.dump(value, Dumper=_Plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return plain.removesuffix("\n").removesuffix("\n...")
