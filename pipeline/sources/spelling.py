"""The file that a path in a table leads to, however it is spelt, and the one spelling that names it."""

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from urllib.parse import unquote, urlsplit, urlunsplit

from pipeline.base.redact import redact
from pipeline.decode.limits import BadSample
from pipeline.sources.path_or_url import is_url, joined

PORTS = {"http": ":80", "https": ":443"}
_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile("[A-Za-z0-9._~-]")


@dataclass(frozen=True)
class Found:
    """Where a path leads.

    key:  its spelling without detours, relative to the root when it lies below it, with forward slashes
    path: a local path or a URL to open
    file: equal for paths of one file; of local ones device and inode, so links count as what they lead to
    """

    key: str
    path: str
    file: tuple[int, int] | str


def finder(root: str) -> Callable[[str], Found]:
    """Return a function that finds the file of a path, which is relative to the folder or URL `root` when it is not
    absolute.

    A local path that leads to no file is tried in Unicode's other forms (macOS writes names decomposed), with slashes
    in place of backslashes (as Windows writes), and one of `file://` with its `%20` and the like decoded.
    """
    root = canonical_url(root) if is_url(root) else os.path.abspath(root)
    prefix = f"{root.rstrip('/')}/"
    names = lru_cache(maxsize=None)(_names)

    def find(named: str) -> Found:
        path = joined(root, named)
        others = []
        if is_url(path):
            path = canonical_url(path)
            others = [decoded] if (decoded := unquote(path)) != path and decoded.isprintable() else []
        if not is_url(path):
            path = os.path.normpath(path)
            if "\\" in named:
                others.append(joined(root, named.replace("\\", "/")))
            for spelt in (path, *map(os.path.normpath, others)):
                if (there := _there(spelt, names)) and (status := _status(there)):
                    path = there
                    file = (status.st_dev, status.st_ino) if status.st_ino else path
                    return Found(path.removeprefix(prefix), path, file)
        return Found(path.removeprefix(prefix), path, path)

    return find


def canonical_url(url: str) -> str:
    """Return the one spelling of a URL, by what RFC 3986 calls equal; of `file://` the local path. BadSample for no
    URL.

    The scheme is in lower case, and detours (`./`, `../`) are gone. Of http, where they mean nothing, so are the host's
    case, the usual port, `%7E` for `~` and the fragment. An object's name in a store such as S3 stays as it is.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    host, slash, path = rest.partition("/")
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets without an address of IPv6, of whatever scheme
        raise BadSample(f"{redact(url)!r} is no URL") from None
    if scheme == "file":
        return slash + path
    if scheme not in PORTS:
        return f"{scheme}://{host}{_direct(slash + path)}"
    user, at, host = parts.netloc.rpartition("@")
    place = user + at + host.lower().removesuffix(PORTS[scheme])
    return urlunsplit((scheme, place, _direct(_decoded(parts.path)) or "/", _decoded(parts.query), ""))


def _direct(path: str) -> str:
    """Return a URL's path without the segments `.` and `..`; empty ones stay."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    return "/".join([*kept, ""] if segments[-1] in (".", "..") else kept)


def _decoded(text: str) -> str:
    """Decode percent-encoding where it is not needed, and in capitals where it is."""

    def plain(match: re.Match[str]) -> str:
        character = chr(int(match[0][1:], 16))
        return character if _UNRESERVED.fullmatch(character) else match[0].upper()

    return _ENCODED.sub(plain, text)


def _there(path: str, names: Callable[[str], dict[str, str]]) -> str | None:
    """Return the path as its folders spell it; None where none of them has such a name."""
    if path.isascii() or os.path.lexists(path):
        return path
    top, *parts = PurePath(path).parts
    at = top
    for part in parts:
        spelt = os.path.join(at, part)
        if not os.path.lexists(spelt):
            name = names(at).get(unicodedata.normalize("NFC", part))
            if name is None:
                return None
            spelt = os.path.join(at, name)
        at = spelt
    return at


def _names(folder: str) -> dict[str, str]:
    """Return a folder's names by their form NFC; none of what is no folder or cannot be listed."""
    try:
        return {unicodedata.normalize("NFC", name): name for name in sorted(os.listdir(folder))}
    except OSError:
        return {}


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
