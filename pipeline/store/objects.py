"""The one place that talks to an object store: whole objects read and written, tried again, errors in words."""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.store.artifact import StoreError
from pipeline.store.failures import Failure, failure_of

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_A_TIME = 8
FIRST_PATIENCE_S = 10.0  # for a store that this process has not heard of yet
PATIENCE_S = 60.0  # for one that answered before; a stage should not die of a short outage
BOTOCORE_TRIES = 8  # about a minute
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.3, 10.0
# A server that takes a connection and says nothing must not hold a write for ever: botocore asks it whether to go on
# (Expect: 100-continue), and aiohttp's limits of time begin behind its answer.
WRITE_S, SLOWEST_WRITE = 300.0, 1 << 16  # and bytes a second
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}

_heard: set[str] = set()
_given_up: set[str] = set()


@dataclass(frozen=True)
class Entry:
    """An object's size, and when it was written (seconds since 1970, by the store's clock)."""

    bytes: int
    modified_s: float


@dataclass(frozen=True)
class Objects:
    """The objects below a URL, by keys relative to it. Holds no connection and no credentials, so it travels.

    Every call raises StoreError when the store refuses, is full, or does not answer for `PATIENCE_S`. An OSError is of
    the disk of this node.
    """

    url: str

    def filesystem(self, patient: bool = False) -> tuple[Any, str]:
        """Return fsspec's filesystem, with credentials from this node's environment, and the path of the URL in it.

        `patient`: for those who do not try again themselves.
        """
        import fsspec
        from fsspec.config import conf
        from fsspec.core import url_to_fs

        protocol = self.url.partition("://")[0]
        options: dict[str, Any] = {"use_listings_cache": False}  # others write, too
        if EXTRAS.get(protocol) == "s3":  # one retry loop: botocore's inside of ours would multiply the waiting
            retries = {"mode": "standard", "max_attempts": BOTOCORE_TRIES} if patient else {"max_attempts": 0}
            options["config_kwargs"] = {**conf.get("s3", {}).get("config_kwargs", {}), "retries": retries}
        try:
            filesystem, path = url_to_fs(self.url, **options)  # fsspec keeps one for each process and thread
        except ImportError as error:
            extra = EXTRAS.get(protocol)
            install = f"pip install 'zoetrope[{extra}]'" if extra else str(error)
            raise StoreError(f"store {self.url}: the library for {protocol}:// is not installed: {install}") from None
        except ValueError:
            known = ", ".join(sorted({*EXTRAS, "abfs"} & set(fsspec.available_protocols())))
            raise StoreError(f"store {self.url}: {protocol}:// is not known. A path is, and URLs of {known}.") from None
        return filesystem, path.rstrip("/")

    def read(self, key: str, max_bytes: int) -> bytes | None:
        """Read an object's content; None when there is none. StoreError when it is larger than `max_bytes`."""

        def read(filesystem: Any, path: str) -> bytes:
            size = filesystem.info(path)["size"]
            if size > max_bytes:
                raise StoreError(f"{self.url}/{key} has {size} bytes; nothing of ours is so large there.")
            return bytes(filesystem.cat_file(path))

        try:
            return self._do(f"read {key}", read, key)
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes, create: bool = False) -> bool:
        """Write an object. With `create`, only when there is none: else False.

        After an answer that was lost on the way this says False of an object that it wrote itself: compare contents.
        """

        def write(filesystem: Any, path: str) -> None:
            limit = _write_limit(filesystem, len(content))
            if not create:
                filesystem.pipe_file(path, content, **limit)
                return
            try:
                filesystem.pipe_file(path, content, mode="create", **limit)
            except (NotImplementedError, TypeError, ValueError) as error:
                self._create_by_looking(filesystem, path, content, error)
            except OSError as error:
                if failure_of(error).kind != "not offered":
                    raise
                self._create_by_looking(filesystem, path, content, error)

        try:
            self._do(f"write {key}", write, key)
        except FileExistsError:
            return False
        return True

    @staticmethod
    def _create_by_looking(filesystem: Any, path: str, content: bytes, error: Exception) -> None:
        """Create in stores that cannot write only where there is nothing: of two at the same
        time the later one wins.
        """
        if filesystem.exists(path):
            raise FileExistsError(path) from error
        filesystem.pipe_file(path, content, **_write_limit(filesystem, len(content)))

    def upload(self, source: Path, key: str) -> None:
        """Write a local file's content; the object is whole or not there."""
        size = source.stat().st_size

        def write(filesystem: Any, path: str) -> None:
            filesystem.put_file(str(source), path, **_write_limit(filesystem, size))

        self._do(f"write {key}", write, key)

    def download(self, key: str, target: Path) -> None:
        """Write an object's content to a local file. FileNotFoundError when there is none."""
        self._do(f"read {key}", lambda filesystem, path: filesystem.get_file(path, str(target)), key)

    def entry(self, key: str) -> Entry | None:
        """Return one object; None when there is none."""
        try:
            return _entry(self._do(f"look for {key}", lambda filesystem, path: filesystem.info(path), key))
        except FileNotFoundError:
            return None

    def list(self, prefix: str, deep: bool = True) -> dict[str, Entry]:
        """Return the objects below `prefix/`, by keys relative to it; `deep` or only those right below it."""

        def find(filesystem: Any, path: str) -> Any:
            return filesystem.find(path, maxdepth=None if deep else 1, detail=True)

        try:
            _, base = self.filesystem()
            found = self._do(f"list {prefix}", find, prefix)
        except FileNotFoundError:
            return {}
        start = f"{base}/{prefix}/"
        return {path[len(start) :]: _entry(info) for path, info in found.items() if path.startswith(start)}

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are gone already do not matter."""

        def remove(key: str) -> None:
            with suppress(FileNotFoundError):
                self._do(f"remove {key}", lambda filesystem, path: filesystem.rm_file(path), key)

        for _ in parallel(remove, list(keys)):
            pass

    @contextmanager
    def in_words(self, what: str) -> Iterator[None]:
        """Turn what the libraries raise into StoreError, but for FileNotFoundError, FileExistsError and local ones."""
        try:
            yield
        except ZoetropeError:
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure.kind in ("missing", "there already", "this node"):
                raise
            raise self._give_up(what, failure, None) from error

    def _do(self, what: str, action: Callable[[Any, str], Result], key: str) -> Result:
        """Try, and try again while the store is away. FileNotFoundError and FileExistsError pass through."""
        filesystem, base = self.filesystem()
        patience_s = 0.0 if self.url in _given_up else PATIENCE_S if self.url in _heard else FIRST_PATIENCE_S
        began_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        while True:
            try:
                result = action(filesystem, f"{base}/{key}")
            except ZoetropeError:
                raise
            except Exception as error:
                failure = failure_of(error)
                if failure.kind == "this node":
                    raise
                if failure.kind != "away":
                    _heard.add(self.url)
                if failure.kind == "missing":
                    raise FileNotFoundError(f"{self.url}/{key}") from None
                if failure.kind == "there already":
                    raise FileExistsError(f"{self.url}/{key}") from None
                waited_s = time.monotonic() - began_s
                if failure.kind != "away" or waited_s + pause_s > patience_s:
                    raise self._give_up(what, failure, waited_s) from error
                time.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                _heard.add(self.url)
                _given_up.discard(self.url)
                return result

    def _give_up(self, what: str, failure: Failure, waited_s: float | None) -> StoreError:
        words = f"store {self.url}: cannot {what}: {failure.words}"
        if failure.kind != "away":
            return StoreError(f"{words}.")
        # What follows a failure (logs, the run's record) must not wait as long again, each.
        _given_up.add(self.url)
        tried = f", tried for {waited_s:.0f} s" if waited_s is not None else ""
        where = f"Is it up, and its address right ({address()})? The same command goes on from here."
        return StoreError(f"{words}{tried}. {where}")


def address() -> str:
    """Tell where requests go, as far as the environment says."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if os.environ.get(name):
            return f"{name}={redact(os.environ[name])}"
    return "the provider's own; AWS_ENDPOINT_URL is not set"


def parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function` of each item, a few at a time, in their order; the first error ends it."""
    with ThreadPoolExecutor(AT_A_TIME, "store") as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_limit(filesystem: Any, size_bytes: int) -> dict[str, float]:
    """Return how long a write may take, as an argument that fsspec's asynchronous file systems take."""
    return {"timeout": WRITE_S + size_bytes / SLOWEST_WRITE} if filesystem.async_impl else {}


def _entry(info: dict[str, Any]) -> Entry:
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(name)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return Entry(int(info["size"]), value.timestamp())
        if isinstance(value, int | float):
            return Entry(int(info["size"]), float(value))
    return Entry(int(info["size"]), time.time())
