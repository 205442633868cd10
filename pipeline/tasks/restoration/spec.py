"""Crops of a recipe, whose sizes are of the target, as they are to cut its smaller picture."""

from collections.abc import Sequence
from typing import Any

from pipeline.base.errors import ZoetropeError

CROPS = ("Crop", "CenterCrop", "RandomCrop")
SIZES = frozenset({"height", "width", "x_min", "y_min", "x_max", "y_max"})


def shrunk(spec: Sequence[dict[str, dict[str, Any]]], scale: int) -> list[dict[str, dict[str, Any]]]:
    """Divide the sizes of crops by `scale`, however deep they nest. ZoetropeError for one that it does not divide."""
    return [{name: _shrunk(name, arguments, scale) for name, arguments in one.items()} for one in spec]


def _shrunk(name: str, arguments: dict[str, Any], scale: int) -> dict[str, Any]:
    if "transforms" in arguments:
        inner = [one if isinstance(one, dict) else {one: {}} for one in arguments["transforms"]]
        return {**arguments, "transforms": shrunk(inner, scale)}
    if name not in CROPS:
        return arguments
    for key in SIZES & arguments.keys():
        if arguments[key] % scale:
            raise ZoetropeError(
                f"{name}: sizes are of the target, which is {scale} times as large as its picture, and {key} "
                f"{arguments[key]} is no multiple of {scale}; set it to {arguments[key] // scale * scale}"
            )
    return {key: value // scale if key in SIZES else value for key, value in arguments.items()}
