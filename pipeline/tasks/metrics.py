"""Metrics of classification from sums over samples, which parts of a measurement add up. Does not load torch."""

from collections.abc import Iterable

METRICS = ("loss", "top1", "top5")


def metrics(sums: Iterable[float]) -> dict[str, float]:
    """`classification.sums` of all samples as means: `loss` in nats, `top1` and `top5` as shares."""
    *totals, samples = (float(value) for value in sums)
    return {name: total / max(samples, 1.0) for name, total in zip(METRICS, totals, strict=True)}
