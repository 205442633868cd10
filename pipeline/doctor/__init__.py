"""What this machine has for a run and what it lacks, each with the command that mends it: `CHECKS`, in their order."""

from collections.abc import Iterator

from pipeline.doctor.found import Check, Found, Looked
from pipeline.doctor.machine import clock, limits, memory, python
from pipeline.doctor.media import decoding, encoding, images
from pipeline.doctor.packages import accelerator, packages, versions
from pipeline.doctor.places import home, scratch, store, tracking
from pipeline.doctor.ray import cluster, token
from pipeline.doctor.recipe import data, recipe, weights

CHECKS: dict[str, Check] = {
    "Python": python,
    "packages": packages,
    "versions": versions,
    "accelerator": accelerator,
    "images": images,
    "encoding": encoding,
    "decoding": decoding,
    "Ray": cluster,
    "token": token,
    "home": home,
    "store": store,
    "tracking": tracking,
    "scratch": scratch,
    "memory": memory,
    "limits": limits,
    "clock": clock,
    "recipe": recipe,
    "data": data,
    "weights": weights,
}


def examine(looked: Looked) -> Iterator[tuple[str, Found]]:
    """Make every check; one that fails itself is a finding, too."""
    for name, check in CHECKS.items():
        try:
            yield from ((name, found) for found in check(looked))
        except Exception as error:
            yield name, Found("wrong", f"cannot be looked at: {type(error).__name__}: {error}")
