"""Files from the web, kept in a cache folder. A file appears there whole or not at all."""

import contextlib
import errno
import fcntl
import hashlib
import http
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pipeline.base.errors import ZoetropeError

MAX_BYTES = 8 << 30
TIMEOUT_S = 60
CHUNK_BYTES = 1 << 20
PART = "part-"
KEPT_S = 7 * 86400.0


def cache_folder() -> Path:
    """Return `$ZOETROPE_CACHE/weights`, else `zoetrope/weights` in the user's cache folder (XDG)."""
    if own := os.environ.get("ZOETROPE_CACHE"):
        return Path(own) / "weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoetrope" / "weights"


def hub_url(hub_id: str) -> str:
    """Map `hf://organisation/name[@revision][/file]` -> the file's URL; without a file, `model.safetensors`.

    ZoetropeError for anything else. `HF_ENDPOINT` names another hub, as for huggingface_hub.
    """
    found = re.fullmatch(r"hf://([\w.-]+)/([\w.-]+)(?:@([^/]+))?(?:/(.+))?", hub_id)
    if not found:
        raise ZoetropeError(f"{hub_id} is no id of the hub: expected hf://organisation/name/file, @revision after name")
    organisation, name, revision, file = found.groups()
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    parts = [organisation, name, "resolve", revision or "main", file or "model.safetensors"]
    return "/".join([endpoint, *(urllib.parse.quote(part) for part in parts)])


def moves(hub_id: str) -> bool:
    """Tell whether the files of a hub id may change: a branch and a tag can be set anew, a
    commit (40 hex digits) cannot.
    """
    return not re.match(r"hf://[^/]+/[^/@]+@[0-9a-f]{40}(/|$)", hub_id)


def cached_at(url: str) -> Path:
    """Return where the cache has the file at a URL, or would have it."""
    name = Path(urllib.parse.unquote(urllib.parse.urlparse(url).path)).name or "weights"
    # Another URL may have a file of the same name.
    return cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-150:]}"


def fetch(
    url: str,
    max_bytes: int = MAX_BYTES,
    moving: bool = False,
    say: Callable[[str], None] = warnings.warn,
    sha256: str | None = None,
) -> Path:
    """Fetch the file at an http(s) URL, from the cache folder if it is there.

    Of a `moving` one the server is asked whether it has changed, by its ETag; where that cannot be learned, what the
    cache has is used, and `say` tells so. What broke off or was killed is gone on with, where the server can send the
    rest; parts that are a week old are removed. A name that ends in part of its sha256, as torchvision's do
    (`resnet50-0676ba61.pth`), is checked against it.

    `sha256` are the first digits that the publisher gives, "" where it gives none: then that of the first file is kept
    beside it, and holds for later ones. With it a file in the cache is read wholly and compared, too, as somebody
    without a network may have put it there.

    ZoetropeError when the server cannot be reached or does not have it, for more than `max_bytes`, an incomplete
    answer or a wrong checksum.
    """
    target = cached_at(url)
    right = _right_digits(target, sha256)
    if target.is_file() and not moving:
        if sha256 is not None:
            _check_kept(target, right, url)
        return target
    try:
        _renew(target, url, max_bytes, right, moving)
    except ZoetropeError as error:
        if not target.is_file():
            raise
        day = time.strftime("%Y-%m-%d", time.localtime(target.stat().st_mtime))
        say(f"{error}. Whether it has changed is not known: the copy of {day} in {target.parent} is used")
    if sha256 == "":
        _check_kept(target, right, url)
    return target


def _right_digits(target: Path, sha256: str | None) -> str:
    """Return the first digits of the sha256 that a file must have; "" where nobody has said."""
    if sha256 == "":
        with contextlib.suppress(OSError):
            return _digest_file(target).read_text().partition(" ")[0]
    if sha256 is not None:
        return sha256
    promised = re.search(r"-([0-9a-f]{8,64})\.", target.name.partition("-")[2])
    return promised[1] if promised else ""


def _check_kept(target: Path, right: str, url: str) -> None:
    """Compare a file in the cache with what it must be; where nobody has said, keep what it is now."""
    try:
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not right:
            _digest_file(target).write_text(f"{digest}  {target.name}\n")
    except OSError as error:
        raise _not_kept(target, url, error) from error
    if not digest.startswith(right):
        raise ZoetropeError(
            f"{target}: the sha256 begins with {digest[: len(right)]}, not with {right}, so this is not the file at "
            f"{url}, or it is damaged; remove it, and it is fetched again"
        )


def _digest_file(target: Path) -> Path:
    """As `sha256sum` writes it: the digest of the first file that came from a URL."""
    return target.with_name(f"{target.name}.sha256")


def _not_kept(target: Path, url: str, error: OSError) -> ZoetropeError:
    return ZoetropeError(
        f"{url} cannot be kept in {target.parent}: {error.strerror}; make room there, or set ZOETROPE_CACHE to a "
        "folder that can be written"
    )


def _renew(target: Path, url: str, max_bytes: int, right: str, moving: bool) -> None:
    """Put what `url` has now at `target`, unless the server says that this is there already."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_old(target.parent)
        with _own_part(target.with_name(f"{PART}{target.name}")) as part:
            if target.is_file() and not moving:  # another process has fetched it meanwhile
                return
            answer = _download(url, part, max_bytes, _known_etag(target) if moving else None)
            if answer is None:
                return
            digest, etag = answer
            if not digest.startswith(right):
                part.truncate(0)
                raise ZoetropeError(f"{url}: the sha256 begins with {digest[: len(right)]}, not with {right}")
            stamp = _stamp(os.fstat(part.fileno()))
            os.replace(part.name, target)
            if moving and etag:
                _etag_file(target).write_text(f"{stamp} {etag}")
    except OSError as error:
        raise _not_kept(target, url, error) from error


@contextlib.contextmanager
def _own_part(path: Path) -> Iterator[IO[bytes]]:
    """Lock and yield what there is of a download; waits for another process that is at the same one.

    It stays behind a broken connection or a kill, to be gone on with, where the server has told what it is a part of.
    """
    while True:
        with path.open("a+b") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_named(file):
                continue  # finished or removed by whoever held it
            try:
                yield file
            finally:
                if not (_etag_file(path).exists() and file.seek(0, os.SEEK_END)):
                    path.unlink(missing_ok=True)
                if not path.exists():
                    _etag_file(path).unlink(missing_ok=True)
            return


def _is_named(file: IO[bytes]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(file.name), os.fstat(file.fileno()))
    return False


def _remove_old(folder: Path) -> None:
    """Remove the parts that nobody has gone on with for `KEPT_S`."""
    for part in folder.glob(f"{PART}*"):
        # It may be in use or vanish meanwhile, belong to somebody else, or lie where there are no locks.
        with contextlib.suppress(OSError), part.open("rb+") as file:
            if time.time() - part.stat().st_mtime > KEPT_S:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


def _known_etag(target: Path) -> str | None:
    """Return the ETag under which the server gave the file that is there; None where it is not known."""
    try:
        stamp, _, etag = _etag_file(target).read_text().partition(" ")
        return etag if stamp == _stamp(target.stat()) else None
    except (OSError, ValueError):
        return None


def _etag_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.etag")


def _stamp(status: os.stat_result) -> str:
    """Tie an ETag to the very file, as two processes may each put another one there."""
    return f"{status.st_mtime_ns}-{status.st_size}"


def _put(part: IO[bytes]) -> str:
    """Return what to do with a file that was fetched by hand."""
    path = Path(part.name)
    return f"put it at {path.with_name(path.name.removeprefix(PART))}, or give its path"


class StayOnTheWeb(urllib.request.HTTPRedirectHandler):
    """Redirects may lead from http to http or https, and from https to https alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Redirect as urllib does; ZoetropeError for a redirect that leaves the web or its encryption."""
        before, after = urllib.parse.urlparse(req.full_url).scheme, urllib.parse.urlparse(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            raise ZoetropeError(f"{req.full_url} redirects to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, part: IO[bytes], max_bytes: int, known: str | None) -> tuple[str, str | None] | None:
    """Write what `url` answers behind what `part` holds of it; the whole's sha256 in hex and its ETag.

    None when it is still the `known` ETag's.
    """
    received, came_from = part.seek(0, os.SEEK_END), _etag_file(Path(part.name))
    headers = {"User-Agent": "zoetrope"} | ({"If-None-Match": known} if known else {})
    if received:  # a server that has another file now, or cannot send parts, sends all of it
        headers |= {"Range": f"bytes={received}-", "If-Range": came_from.read_text()}
    request = urllib.request.Request(url, headers=headers)
    too_large = ZoetropeError(f"{url} is larger than the {max_bytes} bytes that weights may have")
    try:
        with urllib.request.build_opener(StayOnTheWeb).open(request, timeout=TIMEOUT_S) as answer:
            etag = answer.headers.get("ETag")
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                part.truncate(received := 0)
                came_from.unlink(missing_ok=True)
                if etag and not etag.startswith("W/"):  # a weak one does not tell bytes apart
                    came_from.write_text(etag)
            length = int(answer.headers.get("Content-Length") or -1)
            promised = received + length if length >= 0 else -1
            if promised > max_bytes:
                raise too_large
            while chunk := answer.read(CHUNK_BYTES):
                received += len(chunk)
                if received > max_bytes:
                    raise too_large
                part.write(chunk)
            part.flush()
            os.fsync(part.fileno())
    except ZoetropeError:
        part.truncate(0)
        raise
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.NOT_MODIFIED and known:
            return None
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and received:
            part.truncate(0)
            return _download(url, part, max_bytes, known)
        wants = f"; it may want a login: fetch it yourself and {_put(part)}" if error.code in (401, 403) else ""
        raise ZoetropeError(f"{url} answered {error.code} {error.reason}{wants}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        reason = getattr(error, "reason", error)
        raise ZoetropeError(
            f"cannot fetch {url}: {reason}; where there is no network, fetch it elsewhere and {_put(part)}"
        ) from error
    if promised not in (-1, received):
        raise ZoetropeError(
            f"{url} broke off after {received} of {promised} bytes; the same command goes on from there"
        )
    part.seek(0)
    return hashlib.file_digest(part, "sha256").hexdigest(), etag  # type: ignore[arg-type]  # the stub wants readinto
