"""Samples that cannot be used, found while batches are made: what stands in for them, and how many there may be.

In training a substitute stands in for a bad sample wherever it is met, in evaluation nothing does: it has weight 0.
A batch is a pure function of (recipe, dataset, seed, epoch, k) and of the list of bad samples. For a sample whose
bytes are bad the list only saves finding it again; for one that was slow or unlucky once, the list decides.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator
from pipeline.base.visible import visible
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import ShardReader

Bad = dict[int, str]
"""Number of a sample in its split -> why it cannot be used, in the order in which they were found."""
SHOWN = 5


def substitutes(seed: int, epoch: int, k: int, place: int, samples: int) -> Iterator[int]:
    """Yield the samples of `samples` that may stand at `place` of batch `k`, over all ranks.

    The first usable one does.
    """
    draws = generator(seed, "substitute", epoch, k, place)
    while True:
        yield int(draws.integers(samples))


def check_bad(bad: Bad, max_bad: float, dataset: Dataset, split: str) -> None:
    """Raise ZoetropeError, with the first of them, when more than `max_bad` of a split's samples are bad."""
    samples = dataset.split(split).samples
    if len(bad) <= max_bad * samples:
        return
    lines = [
        f"  {visible(row['source'])}: {visible(row['reason'])}"
        for row in rows(dataset, split, dict(islice(bad.items(), SHOWN)), "")
    ]
    if len(bad) > SHOWN:
        lines.append(f"  and {len(bad) - SHOWN} more")
    raise ZoetropeError(
        f"{len(bad)} of {samples} samples of the split {split!r} in {dataset.files} cannot be used; "
        f"data.max_bad = {max_bad:g} allows {int(max_bad * samples)}:\n"
        + "\n".join(lines)
        + "\nMend or remove these files and run again, or raise data.max_bad."
    )


def rows(dataset: Dataset, split: str, bad: Mapping[int, str], stage: str) -> list[dict[str, str]]:
    """Return rows of a quarantine table: the path in the source, stage and reason."""
    reader = ShardReader(dataset.files, split)
    return [
        {"source": reader.source(*dataset.split(split).place(sample)), "stage": stage, "reason": reason}
        for sample, reason in sorted(bad.items())
    ]
