"""Whether an exported file answers as the model does: both see the same samples."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from pipeline.base.errors import ZoetropeError, cut
from pipeline.exported.answering import MOST_SAID, Exportable
from pipeline.exported.formats import Runner, run_module
from pipeline.tasks.base import Arrays
from pipeline.training.step import Normalize, inputs_of


def worst_differences(
    given: Exportable, found: Runner, views: Sequence[Arrays], normalize: Normalize
) -> dict[str, float]:
    """Compare each output over views, inputs uint8 [(T,) H, W, C] by name: all of a size at once, and the first of
    each alone.

    A difference is the largest of any number, as a share of the largest number where that is above 1; so a number of
    probabilities is absolute. What is not finite on one side alone is infinitely wrong. ZoetropeError when `found`
    takes a batch not at all.
    """
    worst = dict.fromkeys(given.outputs, 0.0)
    for batch in batches(views):
        pair = [run_module(given.module), found]
        states = [_caches(given, len(batch["pixels"]))] * 2
        for inputs in _steps(given, batch, normalize):
            try:
                outputs = [run([*inputs, *state]) for run, state in zip(pair, states, strict=True)]
            except Exception as error:  # whatever a runtime has to say of shapes that it does not take
                reason = cut(" ".join(str(error).split()), MOST_SAID)
                raise ZoetropeError(
                    f"the exported file does not take a batch {list(inputs[0].shape)}: {reason}. With --one-size it is "
                    "made for pictures of the size that augment.eval makes"
                ) from error
            for name, right, said in zip(given.outputs, *outputs, strict=True):
                worst[name] = max(worst[name], difference(right, said))
            states = [one[len(one) - given.caches :] for one in outputs]
    return worst


def batches(views: Sequence[Arrays]) -> Iterator[Arrays]:
    """Yield the views of each size as a batch, and the first of them alone."""
    for _, group in groupby(sorted(views, key=_shape), _shape):
        alike = list(group)
        for some in [alike[:1], alike][: len(alike)]:
            yield {name: np.stack([view[name] for view in some]) for name in some[0]}


def _shape(view: Arrays) -> tuple[int, ...]:
    return view["pixels"].shape


def difference(right: np.ndarray, said: np.ndarray) -> float:
    """Return the largest difference, as `worst_differences` counts it.

    >>> difference(np.array([1.0, 4.0]), np.array([1.0, 5.0]))
    0.25
    """
    if right.shape != said.shape:
        return float("inf")
    if not right.size:
        return 0.0
    apart = np.abs(right.astype(np.float64) - said).max()
    return float(apart / max(1.0, np.abs(right).max())) if np.isfinite(apart) else float("inf")


def check(worst: dict[str, float], tolerance: float, name: str) -> None:
    """Raise ZoetropeError for a difference above the tolerance, or for what is no number."""
    if wrong := {output: apart for output, apart in worst.items() if not apart <= tolerance}:
        said = ", ".join(f"{output} by {apart:.1e}" for output, apart in wrong.items())
        raise ZoetropeError(
            f"{name} does not answer as the model does: it differs in {said}, and {tolerance:.0e} is allowed. The file "
            "was removed. Where so much is rounding and will do, give a larger --tolerance"
        )


def _caches(given: Exportable, samples: int) -> list[np.ndarray]:
    """Zeros for each cache, of so many samples."""
    caches = [value for name, value in given.inputs.items() if name.startswith("cache_")]
    return [np.zeros((samples, *cache.shape[1:]), np.float32) for cache in caches]


def _steps(given: Exportable, batch: Arrays, normalize: Normalize) -> Iterator[list[np.ndarray]]:
    """Yield what the module gets of a batch uint8 [n, (T,) H, W, C]: the whole of it, or a frame after the other."""
    for pixels in batch["pixels"].swapaxes(0, 1) if given.caches else [batch["pixels"]]:
        inputs = {**batch, "pixels": np.ascontiguousarray(pixels)}
        if given.module.normalizes:
            yield list(inputs.values())
        else:
            yield [np.ascontiguousarray(x.numpy()) for x in inputs_of(inputs, normalize).values()]
