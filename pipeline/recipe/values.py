"""Plain values that may be wrong, looked at by dotted keys."""

from collections.abc import Mapping
from typing import Any


def at(values: Any, dotted: str) -> Any:
    """Return what stands at a dotted key; None where there is nothing."""
    for key in dotted.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def word(values: Any, dotted: str) -> str:
    """Return the text at a dotted key; "" where there is none."""
    value = at(values, dotted)
    return value if isinstance(value, str) else ""
