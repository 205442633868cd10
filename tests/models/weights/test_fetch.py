"""Fetching from a server on this machine: the cache, its checks, and the words when something fails."""

import hashlib
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.weights.fetch import StayOnTheWeb, cache_folder, fetch, hub_url
from pipeline.base.errors import ZoetropeError

DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Gives DATA at every path but those below, and counts."""

    served = 0

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
    Handler.served = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
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
        ("private.pth", "answered 401 .*; it may want a login: fetch it yourself and give the path"),
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
    with pytest.raises(ZoetropeError, match=r"cannot fetch http://127.0.0.1:9/w.pth: .*; where there is no network"):
        fetch("http://127.0.0.1:9/w.pth")


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
