"""A store in a local or shared folder.

    artifacts/<stage>/<fingerprint>/    what a stage made, with manifest.json, which is written last
    work/<stage>/<fingerprint>/         out/ and scratch/ of an attempt; when it is killed, the next goes on there
    work/<stage>/<fingerprint>.lock     held (flock) by whoever works there; the kernel releases it when he dies
    runs/<name>-<UTC time>/             one record a run
    pins                                names that `gc` keeps

An artifact comes into being by one rename of its finished folder, so whatever has a name below artifacts/ is whole.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import check_seen
from pipeline.base.lock import is_locked
from pipeline.base.lock import lock as take
from pipeline.store.artifact import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    NEWEST,
    Artifact,
    Holding,
    Record,
    StoreError,
    Work,
    complete,
    list_files,
    parse_manifest,
    parse_pins,
)
from pipeline.store.record import RECORD, RUNS, Run, begin_run, close_abandoned

_REFUSALS = {
    errno.EACCES: "there is no permission to write there; mend its permissions or {otherwise}",
    errno.EPERM: "there is no permission to write there; mend its permissions or {otherwise}",
    errno.EROFS: "it is read-only; {otherwise}",
    errno.ENOSPC: "no space is left on it; free some or {otherwise}",
    errno.EDQUOT: "the disk quota is used up; free some or {otherwise}",
    errno.EFBIG: "a file there may not grow that large; see `ulimit -f`, or {otherwise}",
    errno.EEXIST: "a file is in the way of a folder; move it or {otherwise}",
    errno.ENOTDIR: "a file is in the way of a folder; move it or {otherwise}",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderStore:
    """Artifacts under one folder. Raises ZoetropeError when there is a file in its place.

    `what` and `otherwise` are for the words of errors: a node's cache is such a folder, too.
    """

    def __init__(self, root: Path, what: str = "store", otherwise: str = "choose another `store`") -> None:
        self.root, self._what, self._otherwise = root, what, otherwise
        if self.root.exists() and not self.root.is_dir():
            raise ZoetropeError(f"{what} {self.root} is a file, and must be a folder; move it or {otherwise}.")

    @property
    def url(self) -> str:
        """The folder's path."""
        return str(self.root)

    @property
    def home(self) -> Path:
        """The folder itself."""
        return self.root

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """Find the artifact, if it is published and all files that its manifest claims are there in their sizes."""
        artifact = _read(self._target(stage, fingerprint))
        return artifact if artifact is not None and not _missing(artifact) else None

    def damage(self, stage: str, fingerprint: str) -> list[str]:
        """Return what a published artifact lacks: files missing or of another size.

        Empty when it is whole or not there.
        """
        target = self._target(stage, fingerprint)
        if not target.is_dir():
            return []
        artifact = _read(target)
        return [MANIFEST] if artifact is None else _missing(artifact)

    def artifacts(self, stage: str) -> list[dict[str, Any]]:
        """Return the manifests of a stage's artifacts, newest first, at most `NEWEST` of them."""
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
            held = take(lock, lambda holder: on_wait and on_wait(f"{stage}: waits for {holder}, which is making it"))
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

    def parts(self, work: Work) -> "FolderParts":
        """Return finished parts of that work, noted in its scratch folder."""
        return FolderParts(work.out, work.scratch)

    def publish(
        self, work: Work, manifest: Mapping[str, Any], sha256s: Mapping[str, str] | None = None, replace: bool = False
    ) -> Artifact:
        """Turn `work.out` into the artifact, in one rename. `sha256s`: digests known already, by relative path.

        An artifact that is there by now wins and this one is dropped, unless it is damaged or `replace` is set.
        """
        target = self._target(work.stage, work.fingerprint)
        with self.in_words():
            whole = complete(work, manifest, list(list_files(work.out, sha256s or {})))
            _write_synced(work.out / MANIFEST, json.dumps(whole, indent=1).encode())
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
            raise StoreError(f"{target / MANIFEST} was removed while it was published; run again.")
        return artifact

    def record_run(self, name: str, values: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]) -> Run:
        """Begin the record of a run in `runs/<name>-<UTC time>/`, and close those of runs that were killed."""
        self.close_abandoned()
        with self.in_words():
            return begin_run(self.root / RUNS, name, values, stages)

    def close_abandoned(self) -> None:
        """End the records that say "running" and whose driver is gone."""
        close_abandoned(self.root / RUNS)

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
        """Return what to tell the user when the store cannot be written, or None when `error` is of another sort."""
        why = _REFUSALS.get(error.errno or 0)
        if error.errno == errno.ENOENT and not self.root.exists():  # /proc makes no folders
            why = "no folder can be made there; {otherwise}"
        if why is None:
            return None
        why = why.format(otherwise=self._otherwise)
        return StoreError(f"cannot write to the {self._what} {error.filename or self.root}: {why}.")

    def records(self) -> list[Record]:
        """Return the records of all runs, newest first."""
        found = []
        for path in (self.root / RUNS).glob(f"*/{RECORD}"):
            with suppress(OSError, ValueError):  # being made, or not ours
                found.append(Record(path.parent.name, path.stat().st_mtime, json.loads(path.read_bytes())))
        return sorted(found, key=lambda record: record.modified_s, reverse=True)

    def pins(self) -> frozenset[str]:
        """Run names and fingerprints to keep: the lines of the file `pins`; `#` begins a comment."""
        try:
            return parse_pins((self.root / "pins").read_text())
        except FileNotFoundError:
            return frozenset()

    def holdings(self) -> list[Holding]:
        """Return all that takes room and could be removed; work that somebody is at is not among it."""
        found = []
        for folder in self.root.glob("artifacts/*/*"):
            size, modified_s = _usage(folder)
            artifact = _read(folder)
            manifest = artifact.manifest if artifact else None
            found.append(Holding("artifact", folder.parent.name, folder.name, size, modified_s, manifest))
        for folder in self.root.glob("work/*/*"):
            if folder.is_dir() and not is_locked(folder.with_name(folder.name + ".lock")):
                found.append(Holding("work", folder.parent.name, folder.name, *_usage(folder)))
        return found

    @contextmanager
    def stored(self, holding: Holding, row: Mapping[str, Any]) -> Iterator[Path]:
        """Yield a file of an artifact, by its line in the manifest. FileNotFoundError when it is not there."""
        path = self._target(holding.stage, holding.fingerprint) / row["path"]
        path.stat()
        yield path

    def remove(self, holding: Holding) -> None:
        """Remove it; an artifact ceases to be found before its first file goes."""
        if is_locked(self.root / "work" / holding.stage / f"{holding.fingerprint}.lock"):
            return  # somebody began to make it again
        with self.work(holding.stage, holding.fingerprint, fresh=True) as work, self.in_words():
            if holding.kind == "artifact":
                os.rename(self._target(holding.stage, holding.fingerprint), work.folder / "removed")
            shutil.rmtree(work.folder)

    def _target(self, stage: str, fingerprint: str) -> Path:
        return self.root / "artifacts" / stage / fingerprint


@dataclass(frozen=True)
class FolderParts:
    """`Parts` in a folder that every node sees: files stay where they are, and a note in `scratch` says so."""

    out: Path
    scratch: Path
    shared = True

    def finished(self, part: str) -> dict[str, Any] | None:
        """Return what `finish` was told of a part whose files are all there; None when it is to be made.

        ZoetropeError on a node that does not see the folder: what is made there would be lost.
        """
        check_seen(self.scratch)
        try:
            note = json.loads(self._note(part).read_bytes())
            whole = all((self.out / name).stat().st_size == size for name, size in note["files"].items())
        except (OSError, ValueError):
            return None
        return dict(note["facts"]) if whole else None

    def finish(self, part: str, files: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        """Keep a part: its files (path in `out` -> sha256, whole by now) and, in JSON, what is to be known of it."""
        note = self._note(part)
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_suffix(f".{os.getpid()}")
        sizes = {name: (self.out / name).stat().st_size for name in files}
        _write_synced(temporary, json.dumps({"files": sizes, "facts": facts}).encode())
        os.replace(temporary, note)

    @property
    def ray_url(self) -> str:
        """The path of `ray_storage`."""
        return str(self.scratch / "ray")

    def ray_storage(self) -> tuple[str, Any]:
        """Return `storage_path` and `storage_filesystem` for Ray Train's checkpoints."""
        return self.ray_url, None

    def upload(self, folder: Path, name: str) -> None:
        """Copy the files of a folder to `name` below that `storage_path`."""
        shutil.copytree(folder, self.scratch / "ray" / name, dirs_exist_ok=True)

    def _note(self, part: str) -> Path:
        return self.scratch / "parts" / f"{part}.json"


def _read(folder: Path) -> Artifact | None:
    """Read the artifact in `folder`; None when its manifest is missing, torn, too large or of another schema."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        manifest = parse_manifest(path.read_bytes())
    except OSError:
        return None
    return Artifact(folder, manifest) if manifest else None


def _missing(artifact: Artifact) -> list[str]:
    def is_whole(file: dict[str, Any]) -> bool:
        try:
            return (artifact.path / file["path"]).stat().st_size == file["bytes"]
        except OSError:
            return False

    return [file["path"] for file in artifact.manifest["files"] if not is_whole(file)]


def _usage(folder: Path) -> tuple[int, float]:
    """Sum the bytes of the files below, and when the newest was written."""
    size, modified_s = 0, folder.stat().st_mtime
    for path in folder.rglob("*"):
        with suppress(OSError):  # somebody is at work there
            status = path.lstat()
            size, modified_s = size + status.st_size, max(modified_s, status.st_mtime)
    return size, modified_s


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
