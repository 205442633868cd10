"""`verify`: every file of a store against the manifests and lists that say what it must be, all of it read."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.shards.check import misfits
from pipeline.shards.dataset import CONTENTS, MAX_DATASET_BYTES
from pipeline.shards.file_io import parse, read_capped, sha256
from pipeline.shards.index import index_path, read_index
from pipeline.shards.shard import DATASET_FILE, Shard
from pipeline.store.artifact import Holding, Store
from pipeline.store.objects import parallel
from pipeline.verbs.inventory import SHORT


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a file of an artifact; `again` is the stage that makes it anew."""

    stage: str
    fingerprint: str
    file: str
    what: str
    again: str


@dataclass(frozen=True)
class _Row:
    """A line of a manifest."""

    path: str
    bytes: int
    sha256: str
    whole: dict[str, Any]


def show_verified(console: Console, store: Store) -> bool:
    """Check every artifact, print all that is wrong and what to do; whether nothing is."""
    holdings = [holding for holding in store.holdings() if holding.kind == "artifact"]
    faults: list[Fault] = []
    for holding in sorted(holdings, key=lambda holding: (holding.stage, holding.fingerprint)):
        found = list(dict.fromkeys(check_artifact(store, holding)))  # a tar may be adopted by two splits
        for fault in found:
            console.print(f"{fault.stage} {fault.fingerprint[:SHORT]}: {fault.file}: {fault.what}", markup=False)
        if not found:
            count = len((holding.manifest or {})["files"])
            console.print(f"{holding.stage} {holding.fingerprint[:SHORT]}: {count} files, as they should be")
        faults += found
    if not faults:
        are = "is" if len(holdings) == 1 else "are"
        console.print(f"{_many(len(holdings), 'artifact')} of {redact(store.url)} {are} whole.", markup=False)
        return True
    artifacts = {(fault.stage, fault.fingerprint) for fault in faults}
    again = " ".join(f"--rerun {stage}" for stage in sorted({fault.again for fault in faults}))
    console.print(
        f"{_many(len(faults), 'fault')} in {_many(len(artifacts), 'artifact')}. To make anew what is damaged: "
        f"`python -m pipeline run RECIPE {again}`; what belongs to runs that you do not need any more, `gc` removes.",
        markup=False,
    )
    return False


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def check_artifact(store: Store, holding: Holding) -> Iterator[Fault]:
    """Yield all that is wrong with one artifact."""

    def fault(file: str, what: str, again: str = holding.stage) -> Fault:
        return Fault(holding.stage, holding.fingerprint, file, what, again)

    rows = _rows(holding)
    if rows is None:
        yield fault("manifest.json", "cannot be read, so nobody finds this artifact; the next run makes it again")
        return
    artifact = _Stored(store, holding, rows)
    shards: dict[str, Shard] = {}
    if DATASET_FILE in rows and not artifact.file_problems(DATASET_FILE):
        try:
            shards = artifact.shards()
        except ZoetropeError as error:
            yield fault(DATASET_FILE, _said(error))
    indices = {_index_of(name) for name in shards}
    alone = [name for name in rows if name not in shards and name not in indices]
    for name, problems in zip(alone, parallel(artifact.file_problems, alone), strict=True):
        yield from (fault(name, what) for what in problems)
    for shard, found in zip(shards.values(), parallel(artifact.shard_problems, shards.values()), strict=True):
        yield from (fault(name, what, "ingest" if name == shard.at else holding.stage) for name, what in found)


@dataclass(frozen=True)
class _Stored:
    """An artifact's files as they lie in the store; not as this node's cache has them."""

    store: Store
    holding: Holding
    rows: dict[str, _Row]

    def open(self, name: str) -> AbstractContextManager[Path]:
        return self.store.stored(self.holding, self.rows[name].whole)

    def shards(self) -> dict[str, Shard]:
        """Return the shards that the artifact's `dataset.json` lists."""
        with self.open(DATASET_FILE) as path:
            content = read_capped(path, MAX_DATASET_BYTES, "dataset's list of shards")
            contents = parse(CONTENTS, content, Path(DATASET_FILE), "dataset's list of shards")
        return {shard.name: shard for split in contents.splits.values() for shard in split.shards}

    def file_problems(self, name: str) -> list[str]:
        """Return what is wrong with a file that stands for itself."""
        try:
            with self.open(name) as path:
                return _content_problems(path, self.rows[name].bytes, self.rows[name].sha256, "manifest")
        except (ZoetropeError, OSError) as error:
            return [_said(error)]

    def shard_problems(self, shard: Shard) -> list[tuple[str, str]]:
        """Return (file, what is wrong) of a tar and its index."""
        found: list[tuple[str, str]] = []
        name = shard.at or shard.name
        with ExitStack() as stack:
            index = self._part(stack, _index_of(shard.name), shard.index_sha256, found)
            tar = _adopted(stack, shard, found) if shard.at else self._part(stack, shard.name, shard.sha256, found)
            if tar is None or index is None:
                return found
            try:
                columns = read_index(index, shard.bytes)
            except ZoetropeError as error:
                return [*found, (_index_of(shard.name), str(error).replace(str(index), _index_of(shard.name)))]
            if len(columns) != shard.samples:
                found.append((name, f"its index has {len(columns)} samples, and {DATASET_FILE} says {shard.samples}"))
            if columns.tar != Path(shard.name).name:
                found.append((name, f"its index is that of {columns.tar}"))
            found += [(name, what) for what in misfits(columns, tar, name, adopted=shard.at is not None)]
        return found

    def _part(self, stack: ExitStack, name: str, sha256: str, found: list[tuple[str, str]]) -> Path | None:
        """Check one of a shard's two files, when it is there; problems go to `found`."""
        if name not in self.rows:
            found.append((name, f"{DATASET_FILE} lists it, and the manifest does not"))
            return None
        row = self.rows[name]
        if row.sha256 != sha256:
            found.append((name, f"{DATASET_FILE} and the manifest differ in its sha256"))
        try:
            path = stack.enter_context(self.open(name))
            found += [(name, what) for what in _content_problems(path, row.bytes, sha256, DATASET_FILE)]
        except (ZoetropeError, OSError) as error:
            found.append((name, _said(error)))
            return None
        return path


def _adopted(stack: ExitStack, shard: Shard, found: list[tuple[str, str]]) -> Path | None:
    """Check a tar that lies where it was; problems go to `found`."""
    from pipeline.sources.path_or_url import local_copy

    assert shard.at is not None
    try:
        path = stack.enter_context(local_copy(shard.at, shard.bytes + 1))
        problems = _content_problems(path, shard.bytes, shard.sha256, "index")
    except (ZoetropeError, OSError) as error:
        found.append((shard.at, _said(error)))
        return None
    found += [(shard.at, f"{what}; this tar was changed after it was adopted") for what in problems]
    return path


def _rows(holding: Holding) -> dict[str, _Row] | None:
    """Return the lines of the manifest by path; None when there is no such thing."""
    try:
        files = (holding.manifest or {})["files"]
        rows = [_Row(str(row["path"]), int(row["bytes"]), str(row["sha256"]), row) for row in files]
    except (KeyError, TypeError, ValueError):
        return None
    inside = all(
        not PurePosixPath(row.path).is_absolute() and ".." not in PurePosixPath(row.path).parts for row in rows
    )
    return {row.path: row for row in rows} if inside else None


def _content_problems(path: Path, size: int, expected: str, by: str) -> list[str]:
    found = path.stat().st_size
    if found != size:
        return [f"has {found:,} bytes, and {size:,} by its {by}"]
    return [] if sha256(path) == expected else [f"is damaged: its sha256 is not that of its {by}"]


def _index_of(tar: str) -> str:
    return index_path(Path(tar)).as_posix()


def _said(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return redact(str(error)) if isinstance(error, ZoetropeError) else f"cannot be read: {error}"
