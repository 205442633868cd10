"""A store at a URL that fsspec knows, where nothing can be renamed and nothing locked.

    artifacts/<stage>/<fingerprint>.json               the manifest, written last: without it there is no artifact
    artifacts/<stage>/<fingerprint>/<attempt>/<path>   files, each written once under the name of who wrote it
    work/<stage>/<fingerprint>/parts/<part>.json       finished parts of unfinished work, and where their files are
    work/<stage>/<fingerprint>/ray/                    checkpoints of Ray Train
    work/<stage>/<fingerprint>/lease.json              who is at it
    runs/<name>-<UTC time>-<random>/                   one record a run
    pins                                               names that `gc` keeps

Of two that publish the same, the first manifest stands and the other's files are left over; a manifest names each of
its files by attempt, so it never claims another's.
"""

import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.store.artifact import (
    MAX_MANIFEST_BYTES,
    NEWEST,
    Artifact,
    Holding,
    Record,
    StoreError,
    Work,
    complete,
    digest,
    list_files,
    parse_manifest,
    parse_pins,
)
from pipeline.store.cache import VARIABLE, CachedFiles, Kept, adopt, store_home
from pipeline.store.folder_store import FolderStore
from pipeline.store.lease import lease
from pipeline.store.objects import Entry, Objects, parallel
from pipeline.store.record import RECORD, RUNS, Run, begin_run, close_abandoned

MAX_NOTE_BYTES = 64 << 20
MAX_PINS_BYTES = 1 << 20


@dataclass(frozen=True)
class RemoteStore:
    """Artifacts below a URL. Raises ZoetropeError for one that holds a password or is none."""

    url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))
        protocol, _, place = self.url.partition("://")
        if redact(self.url) != self.url or (protocol in ("s3", "s3a", "gs") and "@" in place) or "?" in place:
            raise ZoetropeError(
                f"store {protocol}://...: a store's URL holds no user, password or query, because it is written into "
                "records. Set credentials in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ..."
            )
        if not re.fullmatch(r"[a-z0-9+]+", protocol) or not place.strip("/"):
            raise ZoetropeError(f"store {self.url!r}: write a path, or a URL such as s3://bucket/folder.")

    @property
    def home(self) -> Path:
        """Its folder in this node's cache."""
        return store_home(self.url)

    @property
    def objects(self) -> Objects:
        """What is below the URL."""
        return Objects(self.url)

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """Find the artifact, if it is published and all files that its manifest claims are there in their sizes."""
        manifest = self._manifest(stage, fingerprint)
        return self._artifact(manifest) if manifest and not self._missing(manifest) else None

    def damage(self, stage: str, fingerprint: str) -> list[str]:
        """Return what a published artifact lacks: files missing or of another size.

        Empty when it is whole or not there.
        """
        key = _manifest_key(stage, fingerprint)
        if self.objects.entry(key) is None:
            return []
        manifest = self._manifest(stage, fingerprint)
        return self._missing(manifest) if manifest else [key]

    def artifacts(self, stage: str) -> list[dict[str, Any]]:
        """Return the manifests of a stage's artifacts, newest first, at most `NEWEST` of them."""
        entries = self.objects.list(f"artifacts/{stage}", deep=False)
        newest = sorted((name for name in entries if name.endswith(".json")), key=lambda n: -entries[n].modified_s)
        found = parallel(lambda name: self._manifest(stage, name.removesuffix(".json")), newest[:NEWEST])
        return sorted((m for m in found if m), key=lambda manifest: str(manifest["created"]), reverse=True)

    @contextmanager
    def work(
        self, stage: str, fingerprint: str, on_wait: Callable[[str], None] | None = None, fresh: bool = False
    ) -> Iterator[Work]:
        """Lock and open the work folder of (stage, fingerprint), as the last attempt left it; empty when `fresh`.

        Other processes of this machine are held off by a lock in its cache, other machines by a lease. While another
        holds it this waits, after telling `on_wait` once; look with `find` afterwards.
        """

        def wait(holder: str) -> None:
            if on_wait:
                on_wait(f"{stage}: waits for {holder}, which is making it")

        with self._local.work(stage, fingerprint, on_wait, fresh) as work:
            key = f"{_work_key(stage, fingerprint)}/lease.json"
            with lease(self.objects, key, self.home, wait):
                if fresh:
                    self._clear_work(stage, fingerprint)
                yield work

    def parts(self, work: Work) -> "RemoteParts":
        """Return finished parts of that work, in the store."""
        return RemoteParts(self.url, work.stage, work.fingerprint)

    def publish(
        self, work: Work, manifest: Mapping[str, Any], sha256s: Mapping[str, str] | None = None, replace: bool = False
    ) -> Artifact:
        """Upload `work.out`, but for what is kept as parts already, then write the manifest: it is there all at once.

        An artifact that is there by now wins and this one is dropped, unless it is damaged or `replace` is set.
        """
        stage, fingerprint = work.stage, work.fingerprint
        found = None if replace else self.find(stage, fingerprint)
        if found is None:
            with self.in_words():
                found = self._publish(work, manifest, sha256s or {}, replace)
        with suppress(OSError):
            shutil.rmtree(work.folder)
        self._clear_work(stage, fingerprint)
        return found

    def _publish(self, work: Work, manifest: Mapping[str, Any], sha256s: Mapping[str, str], replace: bool) -> Artifact:
        stage, fingerprint = work.stage, work.fingerprint
        kept = self.parts(work).files()
        own = [row for row in list_files(work.out, sha256s) if row["path"] not in kept]
        if lost := sha256s.keys() - kept.keys() - {row["path"] for row in own}:
            raise StoreError(
                f"{len(lost)} files of stage {stage} ({min(lost)}, ...) were removed from {self.url} while it ran: "
                "another run made it again with --rerun, or `gc` did. Run again."
            )
        rows = _upload(self.url, stage, fingerprint, work.out, own)
        files = sorted([*kept.values(), *rows], key=lambda row: str(row["path"]))
        whole = complete(work, manifest, files)
        key, content = _manifest_key(stage, fingerprint), json.dumps(whole, indent=1).encode()
        replace = replace or bool(self.damage(stage, fingerprint))
        won = self.objects.write(key, content, create=not replace) or self.objects.read(key, len(content)) == content
        published = self.find(stage, fingerprint)
        if published is None:
            raise StoreError(f"{self.url}/{key}, or what it claims, was removed while it was published; run again.")
        if not won:
            self.objects.remove(row["at"] for row in rows)
        return published

    def record_run(self, name: str, values: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]) -> Run:
        """Begin the record of a run in `runs/<name>-<UTC time>-<random>/`, here and in the store.

        Those of this machine's runs that were killed are closed.
        """
        self.close_abandoned()
        with self.in_words():
            return begin_run(self.home / RUNS, name, values, stages, self._upload_record)

    def close_abandoned(self) -> None:
        """End the records that say "running" and whose driver is gone, of those that this machine began."""
        close_abandoned(self.home / RUNS, self._upload_record)

    def _upload_record(self, path: Path) -> None:
        self.objects.upload(path, path.relative_to(self.home).as_posix())

    def in_words(self) -> AbstractContextManager[None]:
        """Turn an OSError that this node's cache is to blame for into a ZoetropeError."""
        return self._local.in_words()

    def refusal(self, error: OSError) -> ZoetropeError | None:
        """Return what to tell the user when the cache cannot be written, or None when `error` is of another sort."""
        return self._local.refusal(error)

    def records(self) -> list[Record]:
        """Return the records of all runs, newest first."""
        entries = self.objects.list("runs")
        names = [name for name in entries if name.count("/") == 1 and name.endswith(f"/{RECORD}")]
        found = []
        contents = parallel(lambda name: self.objects.read(f"runs/{name}", MAX_NOTE_BYTES), names)
        for name, content in zip(names, contents, strict=True):
            with suppress(ValueError):
                found.append(Record(name.partition("/")[0], entries[name].modified_s, json.loads(content or b"")))
        return sorted(found, key=lambda record: record.modified_s, reverse=True)

    def pins(self) -> frozenset[str]:
        """Run names and fingerprints to keep: the lines of the object `pins`; `#` begins a comment."""
        return parse_pins((self.objects.read("pins", MAX_PINS_BYTES) or b"").decode())

    def holdings(self) -> list[Holding]:
        """Return all that takes room and could be removed; what a living process is at is told by its age alone."""
        found = []
        artifacts = _grouped(self.objects.list("artifacts"), "artifacts")
        manifests = parallel(lambda key: self._manifest(*key), artifacts)
        for (key, entries), manifest in zip(artifacts.items(), manifests, strict=True):
            own = _manifest_key(*key)
            claimed = {own, *(row["at"] for row in manifest["files"])} if manifest else {own}
            if own in entries:
                whole = {name: entry for name, entry in entries.items() if name in claimed}
                found.append(Holding("artifact", *key, *_usage(whole), manifest, tuple(whole)))
            if over := {name: entry for name, entry in entries.items() if name not in claimed}:
                found.append(Holding("left over", *key, *_usage(over), None, tuple(over)))
        for key, entries in _grouped(self.objects.list("work"), "work").items():
            found.append(Holding("work", *key, *_usage(entries), None, tuple(entries)))
        return found

    @contextmanager
    def stored(self, holding: Holding, row: Mapping[str, Any]) -> Iterator[Path]:
        """Yield a copy of an artifact's object, by its line in the manifest. FileNotFoundError when it is not there."""
        with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
            copy = Path(folder) / PurePosixPath(row["path"]).name
            self.objects.download(row["at"], copy)
            yield copy

    def remove(self, holding: Holding) -> None:
        """Remove it; an artifact ceases to be found before its first file goes."""
        own = _manifest_key(holding.stage, holding.fingerprint)
        if own in holding.keys:
            self.objects.remove([own])
        self.objects.remove(key for key in holding.keys if key != own)

    @property
    def _local(self) -> FolderStore:
        return FolderStore(self.home, "cache", f"set {VARIABLE} to another folder")

    def _manifest(self, stage: str, fingerprint: str) -> dict[str, Any] | None:
        content = self.objects.read(_manifest_key(stage, fingerprint), MAX_MANIFEST_BYTES)
        return parse_manifest(content) if content is not None else None

    def _missing(self, manifest: dict[str, Any]) -> list[str]:
        folder = f"artifacts/{manifest['stage']}/{manifest['fingerprint']}"
        there = {f"{folder}/{name}": entry.bytes for name, entry in self.objects.list(folder).items()}
        return [row["path"] for row in manifest["files"] if there.get(row["at"]) != row["bytes"]]

    def _artifact(self, manifest: dict[str, Any]) -> Artifact:
        stage, fingerprint = manifest["stage"], manifest["fingerprint"]
        kept = {row["path"]: Kept(row["at"], row["bytes"], row["sha256"]) for row in manifest["files"]}
        files = CachedFiles(self.url, f"artifacts/{stage}/{fingerprint}-{digest(manifest)[:16]}", kept)
        return Artifact(files.path, manifest, files)

    def _clear_work(self, stage: str, fingerprint: str) -> None:
        folder = _work_key(stage, fingerprint)
        self.objects.remove(f"{folder}/{name}" for name in self.objects.list(folder) if name != "lease.json")


@dataclass(frozen=True)
class RemoteParts:
    """`Parts` in the store: whichever node makes one uploads its files, then a note of where they are."""

    url: str
    stage: str
    fingerprint: str
    shared = False

    @property
    def out(self) -> Path:
        """The folder, on this node, to write a part's files into."""
        return store_home(self.url) / _work_key(self.stage, self.fingerprint) / "out"

    def finished(self, part: str) -> dict[str, Any] | None:
        """Return what `finish` was told of a part whose files are all there; None when it is to be made."""
        note = self._read(f"{part}.json")
        if note is None:
            return None
        objects = Objects(self.url)
        entries = [(objects.entry(row["at"]), row["bytes"]) for row in note["files"]]
        whole = all(entry is not None and entry.bytes == size for entry, size in entries)
        return dict(note["facts"]) if whole else None

    def finish(self, part: str, files: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        """Keep a part: upload its files (path in `out` -> sha256, whole by now), then a note with what is known of it.

        The files leave `out`; this node's cache keeps them, in case that a later stage runs here.
        """
        rows = [
            {"path": name, "bytes": (self.out / name).stat().st_size, "sha256": sha256}
            for name, sha256 in files.items()
        ]
        kept = _upload(self.url, self.stage, self.fingerprint, self.out, rows)
        note = json.dumps({"files": kept, "facts": facts}).encode()
        Objects(self.url).write(f"{self._folder}/{part}.json", note)
        for name in files:
            (self.out / name).unlink()

    @property
    def ray_url(self) -> str:
        """The URL of `ray_storage`."""
        return f"{self.url}/{_work_key(self.stage, self.fingerprint)}/ray"

    def ray_storage(self) -> tuple[str, Any]:
        """Return `storage_path` and `storage_filesystem` for Ray Train's checkpoints."""
        from pipeline.store.arrow import arrow_filesystem

        filesystem, base = arrow_filesystem(Objects(self.url))
        return f"{base}/{_work_key(self.stage, self.fingerprint)}/ray", filesystem

    def upload(self, folder: Path, name: str) -> None:
        """Copy the files of a folder to `name` below that `storage_path`."""
        target = f"{_work_key(self.stage, self.fingerprint)}/ray/{name}"
        for path in (path for path in sorted(folder.rglob("*")) if path.is_file()):
            Objects(self.url).upload(path, f"{target}/{path.relative_to(folder).as_posix()}")

    def files(self) -> dict[str, dict[str, Any]]:
        """Return the rows of all parts' files, by path: path, at, bytes, sha256."""
        notes = parallel(self._read, Objects(self.url).list(self._folder))
        return {row["path"]: row for note in notes if note for row in note["files"]}

    @property
    def _folder(self) -> str:
        return f"{_work_key(self.stage, self.fingerprint)}/parts"

    def _read(self, name: str) -> dict[str, Any] | None:
        content = Objects(self.url).read(f"{self._folder}/{name}", MAX_NOTE_BYTES)
        try:
            return dict(json.loads(content)) if content is not None else None
        except ValueError:
            return None


def _upload(url: str, stage: str, fingerprint: str, out: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Upload files under names of their own, take them into the cache too, and say where they are (`at`)."""
    prefix = f"artifacts/{stage}/{fingerprint}/{uuid.uuid4().hex[:12]}"
    objects = Objects(url)

    def upload(row: dict[str, Any]) -> dict[str, Any]:
        at = f"{prefix}/{row['path']}"
        objects.upload(out / row["path"], at)
        adopt(out / row["path"], row["sha256"])
        return {**row, "at": at}

    return list(parallel(upload, rows))


def _manifest_key(stage: str, fingerprint: str) -> str:
    return f"artifacts/{stage}/{fingerprint}.json"


def _work_key(stage: str, fingerprint: str) -> str:
    return f"work/{stage}/{fingerprint}"


def _grouped(entries: Mapping[str, Entry], top: str) -> dict[tuple[str, str], dict[str, Entry]]:
    """Group objects below `top/`, by stage and fingerprint."""
    groups: dict[tuple[str, str], dict[str, Entry]] = {}
    for name, entry in entries.items():
        stage, _, rest = name.partition("/")
        fingerprint = rest.partition("/")[0].removesuffix(".json")
        groups.setdefault((stage, fingerprint), {})[f"{top}/{name}"] = entry
    return groups


def _usage(entries: Mapping[str, Entry]) -> tuple[int, float]:
    """Sum the bytes of these objects, and when the newest was written."""
    return sum(entry.bytes for entry in entries.values()), max(entry.modified_s for entry in entries.values())
