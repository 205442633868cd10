"""What all stores share: artifacts and their manifests, the folder that a stage works in, and finished parts of it."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Files, Folder
from pipeline.store.record import Run, now_utc

MANIFEST = "manifest.json"
SCHEMA = 1
MAX_MANIFEST_BYTES = 512 * 2**20  # about two million files
NEWEST = 200  # manifests read to find what changed; a search may leave thousands


class StoreError(ZoetropeError):
    """The store did not do what it was asked for: it is away, full, read-only, not ours, ..."""


@dataclass(frozen=True)
class Artifact:
    """What a stage published. `manifest`: stage, fingerprint, version, values, inputs, outside, code, files, facts, ...

    `path`: its folder on this node. In a store that is no folder, only what was fetched (`files`) is in there.
    """

    path: Path
    manifest: dict[str, Any]
    remote: Files | None = None

    @property
    def files(self) -> Files:
        """Its files, to hand to tasks that may run on other nodes."""
        return self.remote or Folder(self.path)

    @property
    def url(self) -> str:
        """Where it lives."""
        return str(self.files)

    def file(self, name: str) -> Path:
        """Return the local path of one of its files, fetched when it is not on this node yet."""
        return self.files.file(name)

    def whole(self, name: str) -> Path:
        """Return the local path of one of its files, read wholly; StoreError when it is not what the manifest says."""
        path = self.file(name)
        expected = {row["path"]: row["sha256"] for row in self.manifest["files"]}
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}; {self._again}") from error
        if found != expected.get(name):
            raise StoreError(f"{path}: this file is damaged, its sha256 is not that of the manifest; {self._again}")
        return path

    @property
    def _again(self) -> str:
        return f"`python -m pipeline run RECIPE --rerun {self.stage}` makes it again"

    @property
    def stage(self) -> str:
        """Name of the stage that made it."""
        return str(self.manifest["stage"])

    @property
    def fingerprint(self) -> str:
        """What it is published under: a hash of all that went into it."""
        return str(self.manifest["fingerprint"])

    @property
    def facts(self) -> dict[str, Any]:
        """What the stage returned."""
        return dict(self.manifest["facts"])

    @cached_property
    def digest(self) -> str:
        """Hash of what came out: paths, sizes and sha256 of its files. Equal outputs give equal digests."""
        return digest(self.manifest)


@dataclass(frozen=True)
class Work:
    """A folder to work in, locked: what stands in `out` is published, `scratch` is thrown away then."""

    stage: str
    fingerprint: str
    folder: Path

    @property
    def out(self) -> Path:
        """What will be published."""
        return self.folder / "out"

    @property
    def scratch(self) -> Path:
        """What only a next attempt needs: checkpoints, parts."""
        return self.folder / "scratch"


class Parts(Protocol):
    """Finished parts of a stage's work; an attempt that follows a killed one, on whichever node, finds them.

    It can be passed on to tasks on other nodes.
    """

    @property
    def out(self) -> Path:
        """The folder, on this node, to write a part's files into."""

    @property
    def shared(self) -> bool:
        """Whether every node sees what is written into `out`."""

    def finished(self, part: str) -> dict[str, Any] | None:
        """Return what `finish` was told of a part whose files are all there; None when it is to be made."""

    def finish(self, part: str, files: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        """Keep a part: its files (path in `out` -> sha256, whole by now) and, in JSON, what is to be known of it."""

    @property
    def ray_url(self) -> str:
        """The path or URL of `ray_storage`."""

    def ray_storage(self) -> tuple[str, Any]:
        """Return `storage_path` and `storage_filesystem` for Ray Train's checkpoints."""

    def upload(self, folder: Path, name: str) -> None:
        """Copy the files of a folder to `name` below that `storage_path`."""


@dataclass(frozen=True)
class Holding:
    """Something in a store that takes room: an artifact, an unfinished work, or files that belong to no artifact."""

    kind: Literal["artifact", "work", "left over"]
    stage: str
    fingerprint: str
    bytes: int
    modified_s: float
    manifest: dict[str, Any] | None = None
    keys: tuple[str, ...] = ()
    """Where it is no folder: its objects, as they were listed."""


@dataclass(frozen=True)
class Record:
    """A run's record as it stands in the store, and when it was last written (seconds since 1970)."""

    name: str
    modified_s: float
    content: dict[str, Any]


class Store(Protocol):
    """Where artifacts live: publish and find them. Making the object asks nothing of the place."""

    @property
    def url(self) -> str:
        """Its path or URL."""

    @property
    def home(self) -> Path:
        """A folder of the store on this node: the store itself, or its part of the node's cache."""

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """Find the artifact, if it is published and all files that its manifest claims are there in their sizes."""

    def damage(self, stage: str, fingerprint: str) -> list[str]:
        """Return what a published artifact lacks: files missing or of another size.

        Empty when it is whole or not there.
        """

    def artifacts(self, stage: str) -> list[dict[str, Any]]:
        """Return the manifests of a stage's artifacts, newest first, at most `NEWEST` of them."""

    def work(
        self, stage: str, fingerprint: str, on_wait: Callable[[str], None] | None = None, fresh: bool = False
    ) -> AbstractContextManager[Work]:
        """Lock and open the work folder of (stage, fingerprint), as the last attempt left it; empty when `fresh`.

        While another process holds it this waits, after telling `on_wait` once; look with `find` afterwards.
        """

    def parts(self, work: Work) -> Parts:
        """Return finished parts of that work."""

    def publish(
        self, work: Work, manifest: Mapping[str, Any], sha256s: Mapping[str, str] | None = None, replace: bool = False
    ) -> Artifact:
        """Turn `work.out` into the artifact, all at once. `sha256s`: digests known already, by relative path.

        An artifact that is there by now wins and this one is dropped, unless it is damaged or `replace` is set.
        """

    def record_run(self, name: str, values: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]) -> Run:
        """Begin the record of a run in `runs/<name>-<UTC time>/`, and close those of runs that were killed."""

    def close_abandoned(self) -> None:
        """End the records that say "running" and whose driver is gone, as far as this machine can tell."""

    def in_words(self) -> AbstractContextManager[None]:
        """Turn an OSError that the store's place is to blame for into a ZoetropeError."""

    def refusal(self, error: OSError) -> ZoetropeError | None:
        """Return what to tell the user when the store cannot be written, or None when `error` is of another sort."""

    def records(self) -> list[Record]:
        """Return the records of all runs, newest first."""

    def pins(self) -> frozenset[str]:
        """Run names and fingerprints to keep: the lines of the file `pins`; `#` begins a comment."""

    def holdings(self) -> list[Holding]:
        """Return all that takes room and could be removed; work that somebody is at is not among it."""

    def stored(self, holding: Holding, row: Mapping[str, Any]) -> AbstractContextManager[Path]:
        """Yield a file of an artifact, by its line in the manifest, as it lies in the store; gone behind the block.

        FileNotFoundError when it is not there.
        """

    def remove(self, holding: Holding) -> None:
        """Remove it; an artifact ceases to be found before its first file goes."""


def digest(manifest: Mapping[str, Any]) -> str:
    """Compute 32 hex digits over paths, sizes and sha256 of the files that a manifest claims."""
    rows = [[file["path"], file["bytes"], file["sha256"]] for file in manifest["files"]]
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:32]


def list_files(folder: Path, sha256s: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield rows of path, bytes and sha256 of what is in a folder, all of it on the disk by then.

    MANIFEST is left out.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST:
            yield {"path": name, "bytes": path.stat().st_size, "sha256": sha256s.get(name) or _sha256(path)}


def complete(work: Work, manifest: Mapping[str, Any], files: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the whole manifest."""
    head = {"schema": SCHEMA, "stage": work.stage, "fingerprint": work.fingerprint, "created": now_utc()}
    return {**head, **manifest, "files": files}


def parse_manifest(content: bytes) -> dict[str, Any] | None:
    """Parse a manifest's content; None when it is torn or of another schema."""
    try:
        manifest = json.loads(content)
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("schema") == SCHEMA else None


def parse_pins(text: str) -> frozenset[str]:
    """Parse the pinned names of the file `pins`."""
    names = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(name for name in names if name)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())  # the manifest, on disk, must not outlive what it claims
    return found
