"""From which score on an answer is said, a class."""

from collections.abc import Mapping, Sequence

from pipeline.base.errors import ZoetropeError, unknown

USUAL = 0.5


def thresholds(given: float | Mapping[str, float], classes: Sequence[str]) -> tuple[float, ...]:
    """Return the threshold of each class: one for all, or a mapping of names, in which those left out have `USUAL`."""
    if not isinstance(given, Mapping):
        return (given,) * len(classes)
    for name in given:
        if classes and name not in classes:
            raise ZoetropeError(f"evaluate.threshold: {unknown('class', name, classes)}")
    return tuple(given.get(name, USUAL) for name in classes)
