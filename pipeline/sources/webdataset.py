"""WebDataset tars from elsewhere: which ones there are. What is in them, `pipeline.stages.adopt` reads."""

import glob
import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.decode.limits import BadSample
from pipeline.recipe.sources import WebDatasetSource
from pipeline.sources.path_or_url import check_url, is_url, marks, tried

MAX_TARS = 100_000
WILD = frozenset("*?[")
LAYOUT = "plain WebDataset tars, whose samples have an image or a video and a label"


def tars(source: WebDatasetSource) -> dict[str, list[str]]:
    """Split -> absolute paths and URLs of its tars, in order; "" where `data.split` is to hold out of them.

    ZoetropeError for a pattern that means no tar, for more than `MAX_TARS`, and for a tar that is named twice.
    """
    found = {"" if source.val_urls is None else "train": _expand(source.urls, "urls")}
    for split, urls in (("val", source.val_urls), ("test", source.test_urls)):
        if urls is not None:
            found[split] = _expand(urls, f"{split}_urls")
    seen: set[str] = set()
    for url in (url for urls in found.values() for url in urls):
        if url in seen:
            raise ZoetropeError(f"data.source: the tar {redact(url)} is named twice; name it once.")
        seen.add(url)
    return found


def digest(source: WebDatasetSource) -> str:
    """Compute a hash of which tars there are, and of what each is now: size, time of change or etag."""
    found = tars(source)
    known = marks(url for urls in found.values() for url in urls)
    if missing := [url for url, mark in known.items() if mark == "-"]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ZoetropeError(f"data.source.urls: there is no tar {redact(missing[0])}{more}, or it may not be read.")
    listing = hashlib.sha256()
    for split, urls in found.items():
        listing.update("".join(f"{split}\0{url}\0{known[url]}\n" for url in urls).encode())
    return listing.hexdigest()


def _expand(patterns: str | list[str], key: str) -> list[str]:
    """Expand the tars that patterns mean; those of `*` and `?` sorted."""
    found: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        meant = list(islice(_matches(pattern, key), MAX_TARS + 1))
        if not meant:
            raise ZoetropeError(f"data.source.{key}: no tar is named {redact(pattern)!r}.")
        found += meant
        if len(found) > MAX_TARS:
            raise ZoetropeError(f"data.source.{key}: more than {MAX_TARS:,} tars are named. Make fewer, larger ones.")
    if not found:
        raise ZoetropeError(f"data.source.{key}: names no tar.")
    return found


def _matches(pattern: str, key: str) -> Iterator[str]:
    from braceexpand import braceexpand

    try:
        for one in braceexpand(pattern):
            if is_url(one):
                check_url(one)
            if not WILD & set(one):
                yield one
            elif not is_url(one):
                yield from sorted(glob.glob(one, recursive=True))
            else:
                yield from _listed(one, key)
    except ValueError as error:
        raise ZoetropeError(f"data.source.{key}: {redact(pattern)!r} has braces that do not match.") from error


def _listed(url: str, key: str) -> Iterable[str]:
    """Return the objects of a pattern of a store that can be listed."""
    protocol = url.partition("://")[0]
    if protocol in ("http", "https"):
        raise ZoetropeError(
            f"data.source.{key}: a web server does not list its files; write {redact(url)} with {{000000..000099}}."
        )

    def find(fs: Any, path: str) -> list[str]:
        return sorted(f"{protocol}://{found}" for found in fs.glob(path))

    try:
        return tried(url, find)
    except BadSample as error:
        raise ZoetropeError(f"data.source.{key}: {error.reason}.") from error
