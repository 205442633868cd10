"""Files by URL, against a real HTTP server and a real S3 API (moto's) on loopback."""

import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.sources import path_or_url
from pipeline.sources.path_or_url import (
    check_url,
    folder_of,
    is_url,
    joined,
    local_copy,
    marks,
    opened,
    read_capped,
    suffix,
)

CONTENT = bytes(range(256)) * 40


class Site:
    """What a server has, how it behaves, and which requests came: (method, path, range)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.fails: dict[str, list[int]] = {}
        self.seen: list[tuple[str, str, str]] = []
        self.tells_size = True
        self.url = ""


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.seen.append((self.command, self.path, asked))
            if site.fails.get(self.path):
                return self._answer(site.fails[self.path].pop(0), b"")
            content = site.files.get(self.path.partition("?")[0])
            if content is None:
                return self._answer(404, b"")
            if asked and site.ranges:
                first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
                part = content[first : last + 1]
                return self._answer(206, part, {"Content-Range": f"bytes {first}-{last}/{len(content)}"})
            return self._answer(200, content)

        do_HEAD = do_GET

        def _answer(self, status: int, content: bytes, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            ranges = "bytes" if site.ranges else "none"
            for name, value in ({"Accept-Ranges": ranges, "ETag": f'"{len(content)}"'} | (more or {})).items():
                self.send_header(name, value)
            if site.tells_size:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_or_url, "WAIT_S", 0.0)


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("/data", "a/b.mp4", "/data/a/b.mp4"),
        ("/data", "../b.mp4", "/b.mp4"),
        ("/data", "/x/b.mp4", "/x/b.mp4"),
        ("/data", "https://h/b.mp4", "https://h/b.mp4"),
        ("https://h/data", "a/b.mp4", "https://h/data/a/b.mp4"),
        ("s3://bucket/data/", "a/b.mp4", "s3://bucket/data/a/b.mp4"),
    ],
)
def test_joined(base: str, path: str, expected: str) -> None:
    assert joined(base, path) == expected


def test_names() -> None:
    assert is_url("s3://bucket/k")
    assert not is_url("/a/b")
    assert folder_of("https://h/data/t.csv?version=3") == "https://h/data"
    assert folder_of("/data/t.csv") == "/data"
    assert suffix("https://h/a.MP4?version=1.2") == ".mp4"
    assert suffix("/data/a.Jpg") == ".jpg"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://h/x", "unknown protocol 'ftp'"),
        ("simplecache::http://h/x", "unknown protocol 'simplecache::http'"),
        ("https://me:word@h/x", r"https://me:***@h/x holds a password"),
        ("https://h/x?X-Amz-Signature=abc", r"X-Amz-Signature=*** holds a password or a signature"),
    ],
)
def test_urls_that_are_not_opened(url: str, says: str) -> None:
    with pytest.raises(ZoetropeError, match=re.escape(says)):
        check_url(url)


def test_a_part_is_fetched_where_the_server_can(site: Site) -> None:
    site.files["/a.bin"] = CONTENT * 500
    with opened(f"{site.url}/a.bin") as file:
        assert file.read(300) == (CONTENT * 2)[:300]
        assert file.seek(0, os.SEEK_END) == len(CONTENT) * 500
        file.seek(-10, os.SEEK_END)
        assert file.read() == CONTENT[-10:]
    asked = [
        sum(int(edge) * sign for edge, sign in zip(r[6:].split("-"), (-1, 1), strict=True)) for *_, r in site.seen if r
    ]
    assert asked
    assert max(asked) <= 2 * path_or_url.BLOCK_BYTES


def test_the_whole_is_fetched_where_the_server_cannot(site: Site) -> None:
    site.files["/a.bin"], site.ranges = CONTENT, False
    with opened(f"{site.url}/a.bin") as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == CONTENT[-10:]


def test_a_copy_is_gone_afterwards(site: Site) -> None:
    site.files["/a.mp4"] = CONTENT
    with local_copy(f"{site.url}/a.mp4", 20_000) as copy:
        assert copy.read_bytes() == CONTENT
        assert copy.suffix == ".mp4"
    assert not copy.exists()


@pytest.mark.parametrize("tells_size", [True, False])
def test_more_than_the_cap_is_not_fetched(site: Site, tells_size: bool) -> None:
    site.files["/a.mp4"], site.tells_size = CONTENT, tells_size
    with pytest.raises(BadSample, match=r"the file has .* allowed"), local_copy(f"{site.url}/a.mp4", 10_000):
        pass
    with pytest.raises(ZoetropeError, match=r"the table http://.*/a.mp4: the file has"):
        read_capped(f"{site.url}/a.mp4", 10_000, "the table")


def test_a_failing_server_is_asked_again_and_then_stops_the_run(site: Site) -> None:
    site.files["/a.mp4"] = CONTENT
    url = f"{site.url}/a.mp4"
    site.fails["/a.mp4"] = [503, 503]
    with local_copy(url, 20_000) as copy:
        assert copy.read_bytes() == CONTENT
    site.fails["/a.mp4"] = [503] * 20
    with (
        pytest.raises(ZoetropeError, match=r"/a.mp4 cannot be reached: .*Is the host up") as caught,
        local_copy(url, 9),
    ):
        pass
    assert not isinstance(caught.value, BadSample)


def test_a_file_that_is_not_there_is_a_bad_sample(site: Site) -> None:
    with pytest.raises(BadSample, match="there is no file http"), opened(f"{site.url}/none.mp4"):
        pass
    site.fails["/a.mp4"] = [403] * 9
    with pytest.raises(BadSample, match="HTTP status 403"), local_copy(f"{site.url}/a.mp4", 99):
        pass
    with pytest.raises(BadSample, match=r"there is no file /nowhere/a.mp4"), opened("/nowhere/a.mp4"):
        pass


def test_marks(site: Site, tmp_path: Path) -> None:
    site.files["/a.mp4"] = CONTENT
    here = tmp_path / "b.mp4"
    here.write_bytes(b"12345")
    asked = [f"{site.url}/a.mp4", f"{site.url}/none.mp4", str(here), str(tmp_path / "none.mp4")]
    before = marks(asked)
    assert before[asked[0]].split()[0] == str(len(CONTENT))
    assert [before[path] for path in (asked[1], asked[3])] == ["-", "-"]
    assert before == marks(asked)
    site.files["/a.mp4"] += b"x"
    here.write_bytes(b"1234")
    after = marks(asked)
    assert [path for path in asked if before[path] != after[path]] == [asked[0], asked[2]]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of moto's S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("s3")  # the default session would keep these credentials for later tests
    client.create_bucket(Bucket="bucket")
    yield client
    server.stop()


def test_s3(bucket: Any) -> None:
    for i in range(12):
        bucket.put_object(Bucket="bucket", Key=f"v/{i}.mp4", Body=CONTENT)
    asked = [f"s3://bucket/v/{i}.mp4" for i in range(12)] + ["s3://bucket/v/none.mp4", "s3://bucket/w/none.mp4"]
    before = marks(asked)
    assert {path for path, mark in before.items() if mark == "-"} == set(asked[-2:])
    assert marks(asked[:1])[asked[0]] == before[asked[0]]  # asked for singly, as in a listing
    bucket.put_object(Bucket="bucket", Key="v/3.mp4", Body=CONTENT[::-1])  # of the same size
    after = marks(asked)
    assert [path for path in asked if before[path] != after[path]] == ["s3://bucket/v/3.mp4"]
    with opened(asked[3]) as file:
        file.seek(-3, os.SEEK_END)
        assert file.read() == CONTENT[2::-1]
    with local_copy(asked[0], 20_000) as copy:
        assert copy.read_bytes() == CONTENT
    with pytest.raises(BadSample, match=r"10,240 bytes, more than the 100 allowed"), local_copy(asked[0], 100):
        pass
    with pytest.raises(BadSample, match=r"there is no file s3://bucket/v/none.mp4"), opened("s3://bucket/v/none.mp4"):
        pass
