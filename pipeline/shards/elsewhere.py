"""The files of a dataset folder some of whose tars lie elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.files import Files
from pipeline.shards.shard import Shard


@dataclass(frozen=True)
class Elsewhere:
    """`Files` in which an adopted tar is found by its name as a shard: local where it lies, fetched from its URL."""

    inner: Files
    shards: Mapping[str, Shard]

    @property
    def path(self) -> Path:
        """The dataset's folder on this node."""
        return self.inner.path

    def file(self, name: str) -> Path:
        """Return the local path of a file, fetched first when this node does not have it."""
        if name not in self.shards:
            return self.inner.file(name)
        shard = self.shards[name]
        assert shard.at is not None
        if "://" not in shard.at:
            return Path(shard.at)
        from pipeline.store.cache import Kept, fetch
        from pipeline.store.objects import Objects

        folder, _, key = shard.at.rpartition("/")
        return fetch(
            Objects(folder),
            Kept(key, shard.bytes, shard.sha256),
            "It was changed after it was adopted: the same command looks at it anew.",
        )

    def fetch(self, names: Iterable[str]) -> None:
        """Have these files on this node, several fetched at a time."""
        from pipeline.store.objects import parallel

        names = list(names)
        self.inner.fetch(name for name in names if name not in self.shards)
        for _ in parallel(self.file, [name for name in names if name in self.shards]):
            pass

    def is_fetched(self, name: str) -> bool:
        """Tell whether a file takes room in this node's cache when it is used."""
        at = self.shards[name].at if name in self.shards else None
        return "://" in at if at else self.inner.is_fetched(name)

    def __str__(self) -> str:
        return str(self.inner)
