"""How deep in a model each parameter lies, counted in residual or transformer blocks."""

import re
from collections.abc import Iterable

_BLOCK = re.compile(r"(?:^|\.)(?:layer|blocks\.|stages\.|features\.)(\d+)(?:\.(\d+))?\.")
_DOWNSAMPLING = re.compile(r"(?:^|\.)downsample_layers\.(\d+)\.")


def _place(name: str) -> tuple[int, int] | None:
    """Return (stage, block) of a parameter, None outside of all blocks."""
    if match := _DOWNSAMPLING.search(
        name
    ):  # a hierarchical backbone's stem is the first; the others lead to a stage's first block
        stage = int(match[1])
        return (stage, 0) if stage else None
    match = _BLOCK.search(name)
    if not match:
        return None
    nested = match[0].lstrip(".").startswith(("layer", "stages"))
    return int(match[1]), int(match[2]) if nested else 0


def depths(names: Iterable[str]) -> dict[str, int]:
    """Map each parameter name -> 0 for the stem and embeddings, 1 ... L for what lies in a block, L + 1 for what
    follows.

    `names` are all of a model's, in the order of its forward but for blocks, which are ordered by their numbers.
    """
    places = {name: _place(name) for name in names}
    number = {place: i for i, place in enumerate(sorted({p for p in places.values() if p is not None}), start=1)}
    found, last = {}, 0
    for name, place in places.items():
        if place is not None:
            last = len(number)
        found[name] = number[place] if place is not None else (last and last + 1)
    return found
