"""Files from the web, kept in a cache folder. A file appears there whole or not at all."""

import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

from pipeline.base.errors import ZoetropeError

MAX_BYTES = 8 << 30
TIMEOUT_S = 60
CHUNK_BYTES = 1 << 20


def cache_folder() -> Path:
    """`$ZOETROPE_CACHE/weights`, else `zoetrope/weights` in the user's cache folder (XDG)."""
    if own := os.environ.get("ZOETROPE_CACHE"):
        return Path(own) / "weights"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoetrope" / "weights"


def hub_url(hub_id: str) -> str:
    """`hf://organisation/name[@revision][/file]` -> the file's URL; without a file, `model.safetensors`.

    ZoetropeError for anything else. `HF_ENDPOINT` names another hub, as for huggingface_hub.
    """
    found = re.fullmatch(r"hf://([\w.-]+)/([\w.-]+)(?:@([^/]+))?(?:/(.+))?", hub_id)
    if not found:
        raise ZoetropeError(f"{hub_id} is no id of the hub: expected hf://organisation/name/file, @revision after name")
    organisation, name, revision, file = found.groups()
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    parts = [organisation, name, "resolve", revision or "main", file or "model.safetensors"]
    return "/".join([endpoint, *(urllib.parse.quote(part) for part in parts)])


def fetch(url: str, max_bytes: int = MAX_BYTES) -> Path:
    """The file at an http(s) URL, from the cache folder if it is there.

    A name that ends in part of its sha256, as torchvision's do (`resnet50-0676ba61.pth`), is checked against it.
    ZoetropeError when the server cannot be reached or does not have it, for more than `max_bytes`, an incomplete
    answer or a wrong checksum.
    """
    name = Path(urllib.parse.unquote(urllib.parse.urlparse(url).path)).name or "weights"
    # Another URL may have a file of the same name.
    target = cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-150:]}"
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix="part-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            digest = _download(url, file, max_bytes)
            file.flush()
            os.fsync(file.fileno())
        promised = re.search(r"-([0-9a-f]{8,64})\.", name)
        if promised and not digest.startswith(promised[1]):
            raise ZoetropeError(f"{url}: the sha256 begins with {digest[: len(promised[1])]}, not with {promised[1]}")
        os.replace(part, target)
    finally:
        Path(part).unlink(missing_ok=True)
    return target


class StayOnTheWeb(urllib.request.HTTPRedirectHandler):
    """Redirects may lead from http to http or https, and from https to https alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """As in urllib; ZoetropeError for a redirect that leaves the web or its encryption."""
        before, after = urllib.parse.urlparse(req.full_url).scheme, urllib.parse.urlparse(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            raise ZoetropeError(f"{req.full_url} redirects to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, file: IO[bytes], max_bytes: int) -> str:
    """Write what `url` answers to `file`; its sha256 in hex."""
    digest, received = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "zoetrope"})
    too_large = ZoetropeError(f"{url} is larger than the {max_bytes} bytes that weights may have")
    try:
        with urllib.request.build_opener(StayOnTheWeb).open(request, timeout=TIMEOUT_S) as answer:
            promised = int(answer.headers.get("Content-Length") or -1)
            if promised > max_bytes:
                raise too_large
            while chunk := answer.read(CHUNK_BYTES):
                received += len(chunk)
                if received > max_bytes:
                    raise too_large
                digest.update(chunk)
                file.write(chunk)
    except urllib.error.HTTPError as error:
        wants = "; it may want a login: fetch it yourself and give the path" if error.code in (401, 403) else ""
        raise ZoetropeError(f"{url} answered {error.code} {error.reason}{wants}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ZoetropeError(
            f"cannot fetch {url}: {reason}; where there is no network, fetch it elsewhere and give the path"
        ) from error
    if promised not in (-1, received):
        raise ZoetropeError(f"{url} broke off after {received} of {promised} bytes; try again")
    return digest.hexdigest()
