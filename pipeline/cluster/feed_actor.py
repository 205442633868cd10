"""What a Ray actor of `feed: {kind: remote}` does: a local feed of every n-th batch, taken one by one from afar."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.feed.bad_samples import Bad
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import Batch, LocalFeed


@dataclass(frozen=True)
class Made:
    """This rank's part of a batch of `samples`, and the bad ones that were found since the last one."""

    arrays: dict[str, np.ndarray]
    samples: int
    bad: Bad


class Maker:
    """Several feeds, by their keys: a training's, and that of the evaluation in its midst.

    Samples are decoded in the feed's worker processes, so what hangs or crashes costs one of these and not the actor.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.feeds: dict[int, tuple[Bad, Iterator[Batch]]] = {}

    def ready(self) -> None:
        """Answer once the actor has started."""

    def take(self, key: int, news: Bad, source: BatchSource | None = None, steps: range = range(0)) -> Made:
        """Take the next batch of a feed; with a source it is begun anew, for `steps`, and the first one is returned.

        `news`: bad samples that this actor has not been told of. Raises what making a batch raises.
        """
        if source is not None:
            self.end(key)
            bad: Bad = {}
            self.feeds[key] = bad, self._batches(source, steps, bad)
        bad, batches = self.feeds[key]
        for sample, reason in news.items():
            bad.setdefault(sample, reason)
        known = len(bad)
        batch = next(batches)
        return Made(batch.arrays, batch.samples, dict(islice(bad.items(), known, None)))

    def end(self, key: int) -> None:
        """End a feed's processes."""
        if key in self.feeds:
            self.feeds.pop(key)[1].close()  # type: ignore[attr-defined]  # a generator

    def _batches(self, source: BatchSource, steps: range, bad: Bad) -> Iterator[Batch]:
        asked = source.recipe.feed
        with (
            _shards(source, steps, self.say) as at,
            closing(LocalFeed(source, steps, asked.workers, asked.timeout_s, bad, self.say)) as feed,
        ):
            for step, batch in zip(steps, feed, strict=True):
                at(step)
                yield batch


@contextmanager
def _shards(source: BatchSource, steps: range, say: Callable[[str], None]) -> Iterator[Callable[[int], None]]:
    """Keep the shards of these steps on this node, as `shards_ahead` has them on that of a training process."""
    dataset = source.dataset
    if not (source.training and any(dataset.files.is_fetched(s.name) for s in dataset.split(source.split).shards)):
        dataset.fetch(source.split)
        yield lambda step: None
        return
    from pipeline.cluster.shard_prefetch import shards_ahead  # loads torch, which the others do without
    from pipeline.training.distributed import Process

    # All actors may be on one node.
    beside = steps.step * source.world
    process = Process(source.rank, source.world)
    with shards_ahead(source.recipe, dataset, process, beside, steps.start, say, actors=steps.step) as at:
        yield at
