"""Leeds Sports Pose: `joints.mat` and images as it counts them."""

import re
from typing import Any

from pipeline.sources.recognise.tree import Guess, Tree, common_folder

_NAME = re.compile(r"(?:^|/)im(\d{4,5})\.\w+$")
HALF = 1000
"""So many images are `train`, and as many `val`; the extended set has no such halves, and names of five digits."""


def recognise(tree: Tree) -> Guess | None:
    """Take a file joints.mat beside images im0001.jpg, or im00001.jpg."""
    annotations = next((name for name in tree.named(".mat") if name.rpartition("/")[2] == "joints.mat"), None)
    numbers = {name: found[1] for name in tree.images if (found := _NAME.search(name))}
    if annotations is None or not numbers:
        return None
    source: dict[str, Any] = {
        "kind": "lsp",
        "path": tree.path(common_folder(numbers)),
        "annotations": tree.path(annotations),
    }
    counted = [int(number) for number in numbers.values() if len(number) == 4]
    if len(counted) == len(numbers) and min(counted) <= HALF < max(counted) <= 2 * HALF:
        source["official"] = True
    words = f"Leeds Sports Pose: {len(numbers):,} images of a person each, in {annotations}"
    return Guess("keypoints", source, words, options={"body": "lsp14", "persons": "one"})
