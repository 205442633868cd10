"""Files by path or URL (fsspec): what they are now, and their content. URLs are read with caps, and may fail.

A file that is not there or not ours to read is a bad sample; a host that does not answer is an error of the run.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urljoin, urlsplit

from pipeline.base.alive import alive
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.redact import redact
from pipeline.decode.limits import MAX_VIDEO_BYTES, BadSample
from pipeline.store.failures import failure_of

PROTOCOLS = ("http", "https", "s3", "gs", "abfs", "az", "file")
TRIES = 3
WAIT_S = 1.0
THREADS = 16
AWAY_S = 900.0
"""What all tries of a host that does not answer may take."""
BLOCK_BYTES = 1 << 20
LISTED_FROM = 8
"""So many files of one folder are asked for by listing the folder."""

Result = TypeVar("Result")


def is_url(path: str) -> bool:
    """Tell whether this is a URL and no local path."""
    return "://" in path


def away_s(paths: Iterable[str]) -> float:
    """Return how much longer to wait for the first sign of these files, which is for `tried` to
    end when they are URLs.
    """
    return AWAY_S if any(is_url(path) for path in paths) else 0.0


def check_url(url: str) -> None:
    """Raise ZoetropeError for a URL that is not to be opened: another protocol, a chain of them, or one with a secret.

    Secrets would end up in tables and fingerprints; `AWS_ACCESS_KEY_ID` and its like, or `~/.netrc`, keep them out.
    """
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise ZoetropeError(unknown("protocol", protocol, PROTOCOLS))
    if redact(url) != url:
        raise ZoetropeError(
            f"the URL {redact(url)} holds a password or a signature. Give credentials by the environment "
            "(AWS_ACCESS_KEY_ID, ...) and name the file alone."
        )


def joined(base: str, path: str) -> str:
    """Return `path` as it is when it is absolute or a URL, else below the folder `base`, itself a path or a URL."""
    if is_url(path) or os.path.isabs(path):
        return path
    if is_url(base):
        return urljoin(base.rstrip("/") + "/", path) if base.startswith("http") else f"{base.rstrip('/')}/{path}"
    return os.path.normpath(os.path.join(base, path))


def folder_of(path: str) -> str:
    """Return the folder that a file, by path or URL, lies in."""
    return path.partition("?")[0].rpartition("/")[0] if is_url(path) else os.path.dirname(os.path.abspath(path))


def suffix(path: str) -> str:
    """Return the extension with its dot, in lower case; of a URL that of its path."""
    return PurePosixPath(urlsplit(path).path if is_url(path) else path).suffix.lower()


def marks(paths: Iterable[str]) -> dict[str, str]:
    """Return what each file is now: its size with its time of change or etag; "-" for one that is not there."""
    remote, found = [], {}
    for path in dict.fromkeys(paths):
        if is_url(path):
            remote.append(path)
        else:
            try:
                status = os.stat(path)
                found[path] = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                found[path] = "-"
    return found | (_remote_marks(remote) if remote else {})


def _remote_marks(urls: list[str]) -> dict[str, str]:
    folders: dict[str, list[str]] = {}
    for url in urls:
        folders.setdefault(folder_of(url), []).append(url)
    listed = [folder for folder, inside in folders.items() if len(inside) >= LISTED_FROM and _can_list(folder)]
    single = [url for folder, inside in folders.items() if folder not in listed for url in inside]
    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(single, pool.map(_mark, single), strict=True))
        for folder, names in zip(listed, pool.map(_list, listed), strict=True):
            found |= {url: names.get(url.rpartition("/")[2], "-") for url in folders[folder]}
    return found


def _can_list(folder: str) -> bool:
    return not folder.startswith("http")


def _list(folder: str) -> dict[str, str]:
    def work(fs: Any, path: str) -> dict[str, str]:
        try:
            return {entry["name"].rpartition("/")[2]: _told(entry) for entry in fs.ls(path, detail=True)}
        except FileNotFoundError:
            return {}

    return tried(folder, work)


def _mark(url: str) -> str:
    try:
        return tried(url, lambda fs, path: _told(fs.info(path)))
    except BadSample:
        return "-"


def _told(info: dict[str, Any]) -> str:
    names = ("ETag", "etag", "md5Hash", "content_md5", "Last-Modified", "LastModified", "last_modified", "mtime")
    changed = next((str(info[name]) for name in names if info.get(name)), "")
    return f"{info.get('size')} {changed}"


def read_capped(path: str, cap_bytes: int, what: str) -> bytes:
    """Read the content of a file. ZoetropeError, naming `what` and the path, when it is not there or over the cap."""
    try:
        if is_url(path):
            check_url(path)
            with local_copy(path, cap_bytes) as copy:
                return copy.read_bytes()
        with Path(path).open("rb") as file:
            content = file.read(cap_bytes + 1)
    except BadSample as error:
        raise ZoetropeError(f"{what} {redact(path)}: {error.reason}.") from error
    except OSError as error:
        raise ZoetropeError(f"{what} {path} cannot be read: {error.strerror}.") from error
    if len(content) > cap_bytes:
        raise ZoetropeError(f"{what} {path} has more than {cap_bytes:,} bytes.")
    return content


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a file to read and seek in; of a URL only what is read is fetched, where its server can send parts of a
    file.

    Raises BadSample when it is not there or may not be read.
    """
    if not is_url(path):
        with _open_local(path) as file:
            yield file
        return
    if parts := tried(path, _open_parts):
        with parts:
            yield parts
        return
    with local_copy(path, MAX_VIDEO_BYTES) as copy, copy.open("rb") as file:
        yield file


def _open_local(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        slashes = "; backslashes part no folders here, write / in their place" if "\\" in path else ""
        raise BadSample(f"there is no file {path}{slashes}") from None
    except PermissionError:
        raise BadSample("no permission to read the file") from None
    except OSError as error:
        raise BadSample(f"the file cannot be opened: {error.strerror}") from error


def _open_parts(fs: Any, path: str) -> BinaryIO | None:
    """Open a URL whose parts can be read; None for a server that only sends whole files."""
    file: Any = fs.open(path, "rb", block_size=BLOCK_BYTES)
    try:
        if file.seekable():
            file.seek(max(0, (file.size or 0) - 1))
            file.read(1)
            file.seek(0)
            opened_file: BinaryIO = file
            return opened_file
    except ValueError:
        pass
    file.close()
    return None


@contextmanager
def local_copy(path: str, cap_bytes: int) -> Iterator[Path]:
    """Yield the file itself when it is local, else a copy that is gone afterwards.

    Raises BadSample, also over the cap.
    """
    if not is_url(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
        copy = Path(folder) / f"copy{suffix(path)}"
        tried(path, lambda fs, inside: _download(fs, inside, copy, cap_bytes))
        yield copy


def _download(fs: Any, path: str, copy: Path, cap_bytes: int) -> None:
    size = fs.info(path).get("size")
    if size is not None and size > cap_bytes:
        raise BadSample(f"the file has {size:,} bytes, more than the {cap_bytes:,} allowed")
    whole = {"block_size": 0} if "http" in str(fs.protocol) else {}  # a stream, also where a size is not told
    with fs.open(path, "rb", **whole) as source, copy.open("wb") as target:
        left = cap_bytes  # counted, as what a server tells of sizes need not be true
        while block := source.read(BLOCK_BYTES):
            alive()
            if (left := left - len(block)) < 0:
                raise BadSample(f"the file has more than the {cap_bytes:,} bytes allowed")
            target.write(block)
    if size is not None and copy.stat().st_size != size:
        raise ConnectionError(f"{copy.stat().st_size} of {size} bytes came")


def tried(url: str, work: Callable[[Any, str], Result]) -> Result:
    """Call `work(file system, path)`, again when the host fails.

    BadSample for a file that is gone, ZoetropeError else.
    """
    import fsspec

    for attempt in range(TRIES):
        try:
            fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
            return work(fs, path)
        except BadSample:
            raise
        except ImportError as error:
            raise ZoetropeError(f"{redact(url)} cannot be opened: {error}. Install that package.") from error
        except Exception as error:  # whatever the libraries below fsspec raise for a network
            failure = failure_of(error)
            if failure.kind == "missing":
                raise BadSample(f"there is no file {redact(url)}") from None
            if failure.status in (401, 403) or isinstance(error, PermissionError):
                answer = f": HTTP status {failure.status}" if failure.status else ""
                raise BadSample(f"no permission to read {redact(url)}{answer}") from None
            if failure.kind == "this node":
                raise ZoetropeError(
                    f"{redact(url)} cannot be kept in {tempfile.gettempdir()} meanwhile: {failure.words}. Make room "
                    "there, or set TMPDIR to another folder."
                ) from error
            # What is in no list may be the network as well; an answer such as 400 stays the same.
            again = failure.kind == "away" or (failure.kind == "other" and failure.status is None)
            if attempt == TRIES - 1 or not again:
                raise ZoetropeError(
                    f"{redact(url)} cannot be reached: {failure.words}. Is the host up, and are credentials and "
                    "endpoint set?"
                ) from error
            time.sleep(WAIT_S * 2**attempt)
    raise AssertionError("unreachable")
