"""YAML of people's files: plain values alone, and none that takes longer to read than it looks.

Only ever for small texts: PyYAML reads some 30,000 values a second.
"""

import math
from typing import Any

import yaml

MAX_DEPTH = 64
MAX_VALUES = 50_000
MAX_DIGITS = 100
"""Characters of a number. Turning digits into a number takes their square, and so does showing it."""


def parse_yaml(text: str) -> Any:
    """Parse the value of a YAML text: mappings of words, lists, texts, numbers, true, false and null.

    Raises ValueError that says what is wrong, and where. Refused is, too, what would be silently lost or blown up:
    duplicate keys, aliases, merge keys, endless nesting and numbers; and what JSON does not know, such as dates.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (_Loader is a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{problem}{where}") from None


class _Loader(yaml.SafeLoader):
    values = depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _refused("aliases (*name) are not allowed; write the value again", event)
        self.values += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _refused("nested too deeply", event)
        if self.values > MAX_VALUES:
            raise _refused(f"more than {MAX_VALUES:,} values", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refused("a key must be a word", key_node)
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _refused("merge keys (<<) are not allowed; write the values again", key_node)
            key = self.construct_object(key_node)
            if key in seen:
                raise _refused(f"key {key_node.value!r} stands twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def text(self, node: Any) -> str:
        text = str(self.construct_scalar(node))
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise _refused("a text holds a character that no text can (NUL, half a surrogate pair)", node)
        return text

    def number(self, node: Any) -> int | float | str:
        if len(node.value) > MAX_DIGITS:
            raise _refused(f"a number of {len(node.value):,} characters", node)
        if ":" in node.value:  # 1:30 is 90 to YAML 1.1, and a mistake in whatever is read here
            return self.text(node)
        if node.tag == "tag:yaml.org,2002:float":
            value = self.construct_yaml_float(node)
            if not math.isfinite(value):
                raise _refused(f"{node.value} is no finite number", node)
            return float(value)
        whole = int(self.construct_yaml_int(node))
        if abs(whole) >= 2**63:
            raise _refused(f"{node.value} is beyond the whole numbers of 64 bits", node)
        return whole

    def unknown(self, node: Any) -> None:
        self.construct_undefined(node)

    def date(self, node: Any) -> None:
        self.construct_yaml_timestamp(node)
        raise _refused("a date is no value here; write it in quotes", node)


_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.text)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.date)
for _tag in ("binary", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.unknown)


def _refused(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
