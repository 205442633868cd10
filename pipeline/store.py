"""Where artifacts live: publish and find them, atomically. A local or shared folder now; other fsspec URLs later.

    artifacts/<stage>/<fingerprint>/    what a stage made, with manifest.json, which is written last
    work/<stage>/<fingerprint>/         out/ and scratch/ of an attempt; when it is killed, the next goes on there
    work/<stage>/<fingerprint>.lock     held (flock) by whoever works there; the kernel releases it when he dies
    runs/<name>-<UTC time>/             one record a run

An artifact comes into being by one rename of its finished folder, so whatever has a name below artifacts/ is whole.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.utils import get_protocol

from pipeline.base.errors import ZoetropeError
from pipeline.runs import Run, begin_run, now_utc

if TYPE_CHECKING:
    from pipeline.graph import Step

MANIFEST = "manifest.json"
SCHEMA = 1
MAX_MANIFEST_BYTES = 512 * 2**20  # about two million files
NEWEST = 200  # manifests read to find what changed; a search may leave thousands
LOCK_POLL_S = 0.2

_REFUSALS = {
    errno.EACCES: "there is no permission to write there; choose another `store` or mend its permissions",
    errno.EPERM: "there is no permission to write there; choose another `store` or mend its permissions",
    errno.EROFS: "it is read-only; choose another `store`",
    errno.ENOSPC: "no space is left on it; free some or choose another `store`",
    errno.EDQUOT: "the disk quota is used up; free some or choose another `store`",
    errno.EFBIG: "a file there may not grow that large; see `ulimit -f`, or choose another `store`",
    errno.EEXIST: "a file is in the way of a folder; move it or choose another `store`",
    errno.ENOTDIR: "a file is in the way of a folder; move it or choose another `store`",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Artifact:
    """A published folder. `manifest`: stage, fingerprint, version, values, inputs, outside, code, files, facts, ..."""

    path: Path
    manifest: dict[str, Any]

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
        rows = [[file["path"], file["bytes"], file["sha256"]] for file in self.manifest["files"]]
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:32]


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


class Store:
    """Artifacts under one folder. Making the object touches nothing. Raises ZoetropeError for a URL it cannot serve."""

    def __init__(self, url: str | Path) -> None:
        protocol = get_protocol(str(url))
        if protocol not in ("file", "local"):
            raise ZoetropeError(
                f"store {protocol}://... cannot be used yet: a store is a local or shared folder. "
                "Set `store` to a path, for example `store: ./runs`."
            )
        path = str(url).removeprefix("file://").removeprefix("local://")
        self.root = Path(path).expanduser().absolute()
        if self.root.exists() and not self.root.is_dir():
            raise ZoetropeError(
                f"store {self.root} is a file, and must be a folder; move it or choose another `store`."
            )

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The artifact, if it is published and all files that its manifest claims are there in their sizes."""
        artifact = _read(self._target(stage, fingerprint))
        return artifact if artifact is not None and not _missing(artifact) else None

    def damage(self, stage: str, fingerprint: str) -> list[str]:
        """What a published artifact lacks: files missing or of another size. Empty when it is whole or not there."""
        target = self._target(stage, fingerprint)
        if not target.is_dir():
            return []
        artifact = _read(target)
        return [MANIFEST] if artifact is None else _missing(artifact)

    def artifacts(self, stage: str) -> list[dict[str, Any]]:
        """The manifests of a stage's artifacts, newest first, at most `NEWEST` of them."""
        try:
            folders = [entry for entry in os.scandir(self.root / "artifacts" / stage) if entry.is_dir()]
        except OSError:  # none published yet
            return []
        folders.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        found = [_read(Path(entry.path)) for entry in folders[:NEWEST]]
        manifests = [artifact.manifest for artifact in found if artifact is not None]
        return sorted(manifests, key=lambda manifest: str(manifest["created"]), reverse=True)

    @contextmanager
    def work(
        self, stage: str, fingerprint: str, on_wait: Callable[[str], None] | None = None, fresh: bool = False
    ) -> Iterator[Work]:
        """Lock and open the work folder of (stage, fingerprint), as the last attempt left it; empty when `fresh`.

        While another process holds it this waits, after telling `on_wait` once; look with `find` afterwards.
        """
        work = Work(stage, fingerprint, self.root / "work" / stage / fingerprint)
        lock = work.folder.with_name(fingerprint + ".lock")
        with self.in_words():
            lock.parent.mkdir(parents=True, exist_ok=True)
            held = _lock(lock, lambda holder: on_wait and on_wait(f"{stage}: waits for {holder}, which is making it"))
        try:
            with self.in_words():
                if fresh and work.folder.exists():
                    shutil.rmtree(work.folder)
                work.out.mkdir(parents=True, exist_ok=True)
                work.scratch.mkdir(exist_ok=True)
                (work.out / MANIFEST).unlink(missing_ok=True)  # of an attempt that died just before its rename
            yield work
        finally:
            for folder in (work.out, work.scratch, work.folder):
                with suppress(OSError):  # not empty: the next attempt goes on there
                    folder.rmdir()
            if not work.folder.exists():
                with suppress(OSError):
                    lock.unlink()
            os.close(held)

    def publish(
        self, work: Work, manifest: Mapping[str, Any], sha256s: Mapping[str, str] | None = None, replace: bool = False
    ) -> Artifact:
        """Turn `work.out` into the artifact, in one rename. `sha256s`: digests known already, by relative path.

        An artifact that is there by now wins and this one is dropped, unless it is damaged or `replace` is set.
        """
        target = self._target(work.stage, work.fingerprint)
        with self.in_words():
            complete = {
                "schema": SCHEMA,
                "stage": work.stage,
                "fingerprint": work.fingerprint,
                "created": now_utc(),
                **manifest,
                "files": _list_files(work.out, sha256s or {}),
            }
            _write_synced(work.out / MANIFEST, json.dumps(complete, indent=1).encode())
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and (replace or self.damage(work.stage, work.fingerprint)):
                aside = work.folder / "replaced"
                shutil.rmtree(aside, ignore_errors=True)
                os.rename(target, aside)
            try:
                os.rename(work.out, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            _sync_folder(target.parent)
            shutil.rmtree(work.folder)
        artifact = _read(target)
        if artifact is None:
            raise ZoetropeError(f"{target / MANIFEST} was removed while it was published; run again.")
        return artifact

    def record_run(self, name: str, values: Mapping[str, Any], steps: Iterable["Step"]) -> Run:
        """Begin the record of a run in `runs/<name>-<UTC time>/`."""
        with self.in_words():
            return begin_run(self.root / "runs", name, values, steps)

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Turn an OSError that the store's place is to blame for into a ZoetropeError."""
        try:
            yield
        except OSError as error:
            refusal = self.refusal(error)
            if refusal is None:
                raise
            raise refusal from error

    def refusal(self, error: OSError) -> ZoetropeError | None:
        """What to tell the user when the store cannot be written, or None when `error` is of another sort."""
        why = _REFUSALS.get(error.errno or 0)
        return ZoetropeError(f"cannot write to the store {error.filename or self.root}: {why}.") if why else None

    def _target(self, stage: str, fingerprint: str) -> Path:
        return self.root / "artifacts" / stage / fingerprint


def _read(folder: Path) -> Artifact | None:
    """The artifact in `folder`; None when its manifest is missing, torn, too large or of another schema."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    known = isinstance(manifest, dict) and manifest.get("schema") == SCHEMA
    return Artifact(folder, manifest) if known else None


def _missing(artifact: Artifact) -> list[str]:
    def is_whole(file: dict[str, Any]) -> bool:
        try:
            return (artifact.path / file["path"]).stat().st_size == file["bytes"]
        except OSError:
            return False

    return [file["path"] for file in artifact.manifest["files"] if not is_whole(file)]


def _list_files(folder: Path, sha256s: Mapping[str, str]) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST:
            rows.append({"path": name, "bytes": path.stat().st_size, "sha256": sha256s.get(name) or _sha256(path)})
    return rows


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())  # the manifest, on disk, must not outlive what it claims
    return digest


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path, on_wait: Callable[[str], Any]) -> int:
    """A descriptor that holds the lock until it is closed. Tells `on_wait` once, naming the holder, if it must wait."""
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever finishes removes the file, so the one that is locked now may have no name any more.
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                    os.truncate(descriptor, 0)
                    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
                    return descriptor
            os.close(descriptor)
        except BlockingIOError:
            if not told:
                on_wait(os.pread(descriptor, 200, 0).decode(errors="replace") or "another run")
                told = True
            os.close(descriptor)
            time.sleep(LOCK_POLL_S)
        except BaseException:
            os.close(descriptor)
            raise
