"""Fetching from a server on this machine: the cache, its checks, and the words when something fails."""

import errno
import fcntl
import hashlib
import os
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from models.weights import fetch as module
from models.weights.fetch import StayOnTheWeb, cache_folder, cached_at, fetch, hub_url, moves
from pipeline.base.errors import ZoetropeError

DATA = bytes(range(256)) * 40
HALF = 4000
SHA256 = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Gives DATA at every path but those below, and counts. At /hub/ it is `content`, under an ETag."""

    served = 0
    content = DATA
    conditions: ClassVar[list[str | None]] = []
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        Handler.served += 1
        if self.path.startswith("/missing"):
            self.send_error(404)
        elif self.path.startswith("/private"):
            self.send_error(401)
        elif self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/there")
            self.end_headers()
        elif self.path.startswith("/away/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/away/"))
            self.end_headers()
        elif self.path.startswith("/hub/"):
            etag = f'"{hashlib.sha256(Handler.content).hexdigest()}"'
            Handler.conditions.append(self.headers["If-None-Match"])
            same = self.headers["If-None-Match"] == etag
            self.send_response(304 if same else 200)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", "0" if same else str(len(Handler.content)))
            self.end_headers()
            self.wfile.write(b"" if same else Handler.content)
        elif self.path.startswith("/parts/"):
            Handler.ranges.append(self.headers["Range"])
            start = int((self.headers["Range"] or "bytes=0-")[6:-1])
            if self.headers["If-Range"] != '"one"' or Handler.content != DATA:
                start = 0
            sent = Handler.content[start:] if start else Handler.content[:HALF]
            self.send_response(206 if start else 200)
            self.send_header("ETag", '"one"' if Handler.content == DATA else '"two"')
            self.send_header("Content-Length", str(len(Handler.content) - start))
            self.end_headers()
            self.wfile.write(sent)
        elif self.path.startswith("/nonsense"):
            self.wfile.write(b"no answer of HTTP\r\n\r\n")
        else:
            self.send_response(200)
            if not self.path.startswith("/endless"):
                self.send_header("Content-Length", str(len(DATA) * (2 if self.path.startswith("/short") else 1)))
            self.end_headers()
            self.wfile.write(DATA)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.served, Handler.content = 0, DATA
    Handler.conditions.clear()
    Handler.ranges.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def cached() -> list[str]:
    return [path.name for path in cache_folder().iterdir()]


def test_is_fetched_once(server: str) -> None:
    path = fetch(f"{server}/a/w.pth")
    assert path.read_bytes() == DATA
    assert path.name.endswith("-w.pth")
    assert fetch(f"{server}/a/w.pth") == path
    assert Handler.served == 1
    other = fetch(f"{server}/b/w.pth")
    assert other != path
    assert sorted(cached()) == sorted([path.name, other.name])


def test_redirects_are_followed_on_the_web_alone(server: str) -> None:
    assert fetch(f"{server}/moved/w.pth").read_bytes() == DATA
    with pytest.raises(ZoetropeError, match=r"answered 302 .*'file:///etc/hostname' is not allowed"):
        fetch(f"{server}/away/file:///etc/hostname")
    with pytest.raises(ZoetropeError, match=r"redirects to ftp://127.0.0.1/w.pth, which is not followed"):
        fetch(f"{server}/away/ftp://127.0.0.1/w.pth")


def test_a_redirect_does_not_give_up_encryption() -> None:
    request = urllib.request.Request("https://example.org/w.pth")
    with pytest.raises(ZoetropeError, match=r"redirects to http://example.org/w.pth, which is not followed"):
        StayOnTheWeb().redirect_request(request, None, 302, "Found", {}, "http://example.org/w.pth")


def test_the_checksum_in_the_name(server: str) -> None:
    assert fetch(f"{server}/w-{SHA256[:8]}.pth").read_bytes() == DATA
    with pytest.raises(ZoetropeError, match=f"the sha256 begins with {SHA256[:8]}, not with 01234567"):
        fetch(f"{server}/w-01234567.pth")
    assert len(cached()) == 1


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.pth", "answered 404"),
        ("private.pth", "answered 401 .*; it may want a login: fetch it yourself and put it at .*, or give its path"),
        ("nonsense.pth", "cannot fetch .*no answer of HTTP"),
        ("short.pth", f"broke off after {len(DATA)} of {2 * len(DATA)} bytes"),
    ],
)
def test_failures_leave_nothing_behind(server: str, path: str, says: str) -> None:
    with pytest.raises(ZoetropeError, match=says):
        fetch(f"{server}/{path}")
    assert cached() == []


@pytest.mark.parametrize("path", ["w.pth", "endless.pth"])
def test_size_is_capped(server: str, path: str) -> None:
    with pytest.raises(ZoetropeError, match="is larger than the 1000 bytes that weights may have"):
        fetch(f"{server}/{path}", max_bytes=1000)
    assert cached() == []
    assert fetch(f"{server}/{path}", max_bytes=len(DATA)).stat().st_size == len(DATA)


def test_no_server(server: str) -> None:
    """The error says where to put the file, and there it is found."""
    url = "http://127.0.0.1:9/w.pth"
    with pytest.raises(ZoetropeError, match=r"cannot fetch http://127.0.0.1:9/w.pth: .*; where there is no net") as e:
        fetch(url)
    assert f"fetch it elsewhere and put it at {cached_at(url)}, or give its path" in str(e.value)
    cached_at(url).write_bytes(DATA)
    assert fetch(url) == cached_at(url)


# What the publisher says of a file's digest, or nobody.


def test_digits_of_the_publisher_hold_for_what_is_fetched(server: str) -> None:
    with pytest.raises(ZoetropeError, match=f"w.pth: the sha256 begins with {SHA256[:8]}, not with 01234567"):
        fetch(f"{server}/w.pth", sha256="01234567")
    assert cached() == []
    path = fetch(f"{server}/w.pth", sha256=SHA256[:8])
    assert cached() == [path.name]
    assert fetch(f"{server}/w.pth", sha256=SHA256[:8]) == path
    assert Handler.served == 2


def test_digits_of_the_publisher_hold_for_what_was_put_there_by_hand(server: str) -> None:
    target = cached_at(f"{server}/w.pth")
    target.parent.mkdir(parents=True)
    target.write_bytes(DATA[:-1])
    with pytest.raises(ZoetropeError, match=rf"not with {SHA256[:8]}, so this is not the file at .*; remove it, and"):
        fetch(f"{server}/w.pth", sha256=SHA256[:8])
    target.write_bytes(DATA)
    assert fetch(f"{server}/w.pth", sha256=SHA256[:8]) == target
    assert Handler.served == 0


def test_where_nobody_gives_a_digest_the_first_files_is_kept(server: str) -> None:
    path = fetch(f"{server}/hub/w.pth", sha256="")
    kept = path.with_name(f"{path.name}.sha256")
    assert kept.read_text() == f"{SHA256}  {path.name}\n"
    path.unlink()
    assert fetch(f"{server}/hub/w.pth", sha256="") == path
    path.unlink()
    Handler.content = DATA[::-1]
    with pytest.raises(ZoetropeError, match=rf"hub/w.pth: the sha256 begins with [0-9a-f]+, not with {SHA256}"):
        fetch(f"{server}/hub/w.pth", sha256="")
    assert cached() == [kept.name]
    path.write_bytes(DATA[:100])  # damaged on the disk
    with pytest.raises(ZoetropeError, match=f"not with {SHA256}, so this is not the file at"):
        fetch(f"{server}/hub/w.pth", sha256="")


def test_the_first_file_may_be_put_there_by_hand(server: str) -> None:
    target = cached_at(f"{server}/w.pth")
    target.parent.mkdir(parents=True)
    target.write_bytes(DATA)
    assert fetch(f"{server}/w.pth", sha256="") == target
    assert sorted(cached()) == [target.name, f"{target.name}.sha256"]
    assert Handler.served == 0


def test_a_part_goes_on_under_its_digest(server: str) -> None:
    with pytest.raises(ZoetropeError, match=f"broke off after {HALF} of {len(DATA)} bytes; the same command goes on"):
        fetch(f"{server}/parts/w.pth", sha256=SHA256)
    assert fetch(f"{server}/parts/w.pth", sha256=SHA256).read_bytes() == DATA
    assert Handler.ranges == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize(
    ("hub_id", "path"),
    [
        ("hf://org/name/model.safetensors", "org/name/resolve/main/model.safetensors"),
        ("hf://org/name", "org/name/resolve/main/model.safetensors"),
        ("hf://org/na.me-1@v1.0/sub/w.pth", "org/na.me-1/resolve/v1.0/sub/w.pth"),
        ("hf://org/name/a b.pth", "org/name/resolve/main/a%20b.pth"),
    ],
)
def test_hub_ids(hub_id: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert hub_url(hub_id) == f"https://huggingface.co/{path}"


def test_the_hub_can_be_another(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server}/")
    assert fetch(hub_url("hf://org/name/w.pth")).read_bytes() == DATA
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ZoetropeError, match=r"cannot fetch http://127.0.0.1:9/org/name/.*; where there is no network"):
        fetch(hub_url("hf://org/name/w.pth"))


@pytest.mark.parametrize("hub_id", ["hf://", "hf://name", "hf://org/na me/f", "hf://org//f"])
def test_wrong_hub_ids(hub_id: str) -> None:
    with pytest.raises(ZoetropeError, match="is no id of the hub: expected hf://organisation/name/file"):
        hub_url(hub_id)


# What may change: a hub id without a commit.


@pytest.mark.parametrize(
    ("hub_id", "may"),
    [
        ("hf://org/name", True),
        ("hf://org/name/w.pth", True),
        ("hf://org/name@main/w.pth", True),
        ("hf://org/name@v1.0", True),
        (f"hf://org/name@{'0a' * 20}/w.pth", False),
        (f"hf://org/name@{'0a' * 20}", False),
        (f"hf://org/name/@{'0a' * 20}/w.pth", True),
    ],
)
def test_what_may_move(hub_id: str, may: bool) -> None:
    assert moves(hub_id) is may


def test_a_moving_file_is_asked_for_and_fetched_when_it_has_moved(server: str) -> None:
    said: list[str] = []
    first = fetch(f"{server}/hub/w.pth", moving=True, say=said.append)
    assert fetch(f"{server}/hub/w.pth", moving=True, say=said.append) == first
    assert first.read_bytes() == DATA
    Handler.content = DATA[::-1]
    assert fetch(f"{server}/hub/w.pth", moving=True, say=said.append) == first
    assert first.read_bytes() == DATA[::-1]
    etags = [f'"{hashlib.sha256(content).hexdigest()}"' for content in (DATA, DATA[::-1])]
    assert Handler.conditions == [None, etags[0], etags[0]]
    assert said == []
    # The ETag was that of another file than the one that lies there.
    os.utime(first, ns=(0, 0))
    fetch(f"{server}/hub/w.pth", moving=True)
    assert Handler.conditions[3:] == [None]


def test_a_moving_file_without_a_server_is_the_one_in_the_cache(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch(f"{server}/hub/w.pth", moving=True)
    os.utime(path, (1e9, 1e9))
    said: list[str] = []

    def no_network(*_: object) -> None:
        raise ZoetropeError("cannot fetch it")

    monkeypatch.setattr(module, "_download", no_network)
    assert fetch(f"{server}/hub/w.pth", moving=True, say=said.append) == path
    assert said == [
        f"cannot fetch it. Whether it has changed is not known: the copy of 2001-09-09 in {path.parent} is used"
    ]
    with pytest.raises(ZoetropeError, match="cannot fetch it"):
        fetch(f"{server}/hub/other.pth", moving=True)


# What is left by others.


def test_what_broke_off_is_gone_on_with(server: str) -> None:
    with pytest.raises(ZoetropeError, match=f"broke off after {HALF} of {len(DATA)} bytes; the same command goes on"):
        fetch(f"{server}/parts/w.pth")
    path = fetch(f"{server}/parts/w.pth")
    assert path.read_bytes() == DATA
    assert Handler.ranges == [None, f"bytes={HALF}-"]
    assert cached() == [path.name]


def test_a_part_of_what_has_changed_is_thrown_away(server: str) -> None:
    with pytest.raises(ZoetropeError, match="broke off"):
        fetch(f"{server}/parts/w.pth")
    Handler.content = DATA[::-1]
    with pytest.raises(ZoetropeError, match=f"broke off after {HALF} of {len(DATA)}"):
        fetch(f"{server}/parts/w.pth")
    (part,) = (path for path in cache_folder().iterdir() if path.suffix != ".etag")
    assert part.read_bytes() == DATA[::-1][:HALF]


def test_two_at_once_fetch_it_once(server: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(fetch, [f"{server}/w.pth"] * 4))
    assert len(set(paths)) == Handler.served == 1
    assert cached() == [paths[0].name]


def test_old_parts_are_removed_and_those_in_use_are_not(server: str) -> None:
    cache_folder().mkdir(parents=True)
    old, used, new = (cache_folder() / f"part-{name}" for name in ("old", "used", "new"))
    for part in (old, used, new):
        part.write_bytes(DATA)
    for part in (old, used):
        os.utime(part, (1e9, 1e9))
    with used.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        path = fetch(f"{server}/w.pth")
    assert sorted(cached()) == sorted([used.name, new.name, path.name])


def test_a_full_disk_and_a_folder_that_is_none_are_named(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ZoetropeError, match=r"cannot be kept in .*cache/weights: No space left.*ZOETROPE_CACHE"):
            fetch(f"{server}/w.pth")
    assert cached() == []
    cache_folder().rmdir()
    cache_folder().touch()
    with pytest.raises(ZoetropeError, match=r"cannot be kept in .*cache/weights: File exists; make room"):
        fetch(f"{server}/w.pth")
