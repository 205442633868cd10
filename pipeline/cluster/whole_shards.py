"""Whether shards are what `dataset.json` says, found out beside the work that reads them.

A shard that is fetched from a store was hashed then. One that lies on a disk is read in place, so its content is hashed
here, in a thread: that takes no time from the start, and reads each shard once more a run. Shards adopted from a disk
are no exception. A checksum of each sample would cost less, but indices of older stores have none.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.shards.dataset import Dataset
from pipeline.shards.shard import Shard, changed

BLOCK_BYTES = 1 << 20


@contextmanager
def hashed_beside(
    dataset: Dataset, splits: tuple[str, ...], rank: int = 0, world: int = 1
) -> Iterator[Callable[[], None]]:
    """Hash the shards of some splits that lie on a disk, this rank's share of them, while the block is at work.

    Gives a function that raises ZoetropeError, naming the file and what makes it again, when one was found that is
    damaged. The end of the block waits for the last shard and raises that, too.
    """
    shards = [shard for name in splits for shard in dataset.split(name).shards]
    mine = [shard for shard in shards if not dataset.files.is_fetched(shard.name)][rank::world]
    stop = threading.Event()
    with ThreadPoolExecutor(1, "hash") as pool:
        hashing = pool.submit(_hash, {dataset.files.file(shard.name): shard for shard in mine}, stop)
        try:
            yield lambda: hashing.result() if hashing.done() else None
            hashing.result()
        finally:
            stop.set()


def _hash(shards: Mapping[Path, Shard], stop: threading.Event) -> None:
    """Raise ZoetropeError for the first that is not what it must be; returns early when told to stop."""
    for path, shard in shards.items():
        digest = hashlib.sha256()
        try:
            with path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    if stop.is_set():
                        return
                    digest.update(block)
        except OSError as error:
            raise ZoetropeError(f"{path}: this shard cannot be read: {error.strerror}") from error
        if digest.hexdigest() != shard.sha256:
            raise changed(path, shard, read=shard.name.startswith("train/"))
