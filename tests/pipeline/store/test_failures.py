import errno
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.sources import path_or_url
from pipeline.store import StoreError, objects
from pipeline.store.failures import failure_of
from pipeline.store.objects import Objects
from tests.pipeline.store.broken_server import CLOSED, HEAD, RESET, SHORT, SILENT, WHOLE, Broken, answer, broken_server


class HttpError(OSError):
    """As gcsfs raises them."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class HttpResponseError(Exception):
    """As azure's library raises them."""

    def __init__(self, status_code: int, error_code: str) -> None:
        super().__init__("no")
        self.status_code, self.error_code = status_code, error_code


class ClientError(Exception):
    """As botocore raises them."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__("no")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}


class EndpointConnectionError(Exception):
    """As botocore's, which is no ConnectionError of Python's."""


class NoCredentialsError(Exception):
    """As botocore's."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ClientError(503, "SlowDown"), "away"),
        (ClientError(500, "InternalError"), "away"),
        (ClientError(409, "ConditionalRequestConflict"), "away"),
        (ClientError(412, "PreconditionFailed"), "there already"),
        (ClientError(404, "NoSuchKey"), "missing"),
        (ClientError(404, "NoSuchBucket"), "no place"),
        (ClientError(403, "AccessDenied"), "refused"),
        (ClientError(403, "SignatureDoesNotMatch"), "refused"),
        (ClientError(507, "XMinioStorageFull"), "full"),
        (ClientError(403, "QuotaExceeded"), "full"),
        (ClientError(501, "NotImplemented"), "not offered"),
        (ClientError(400, "EntityTooLarge"), "other"),
        (HttpError(429, "rate"), "away"),
        (HttpError(401, "Invalid Credentials"), "refused"),
        (HttpResponseError(404, "ContainerNotFound"), "no place"),
        (EndpointConnectionError("Could not connect"), "away"),
        (NoCredentialsError("Unable to locate credentials"), "refused"),
        (TimeoutError(), "away"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "away"),
        (OSError(errno.EBUSY, "SlowDown"), "away"),
        (OSError(errno.ENOSPC, "No space left on device"), "this node"),
        (PermissionError(errno.EACCES, "Permission denied"), "this node"),
        (PermissionError("Forbidden"), "refused"),
        (FileNotFoundError("key"), "missing"),
        (FileExistsError("key"), "there already"),
        (RuntimeError("?"), "other"),
    ],
)
def test_kinds(error: Exception, kind: str) -> None:
    assert failure_of(error).kind == kind


def _from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_what_aiohttp_s_parser_calls_400_is_no_answer() -> None:
    from aiohttp import ClientPayloadError, ClientResponseError, RequestInfo
    from aiohttp.http_exceptions import BadStatusLine, ContentLengthError
    from multidict import CIMultiDict, CIMultiDictProxy
    from yarl import URL

    def answered(status: int) -> Exception:
        url = URL("http://host/key")
        return ClientResponseError(RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url), (), status=status)

    assert failure_of(_from(answered(400), BadStatusLine("x"))).kind == "away"
    assert failure_of(_from(ClientPayloadError("x"), ContentLengthError("x"))).kind == "away"
    assert failure_of(_from(FileNotFoundError("url"), answered(503))).kind == "away"  # as fsspec says it of the web
    assert failure_of(_from(FileNotFoundError("url"), ConnectionResetError(104, "x"))).kind == "away"
    assert failure_of(answered(400)).kind == "other"
    assert failure_of(_from(FileNotFoundError("url"), answered(404))).kind == "missing"


def test_the_cause_counts() -> None:
    error = OSError(errno.EIO, "translated")
    error.__cause__ = ClientError(507, "StorageFull")
    assert failure_of(error).kind == "full"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-value")
    failure = failure_of(RuntimeError("request https://me:pw@host signed with very-secret-value " + "x" * 500))
    assert failure.words.startswith("RuntimeError: request https://me:***@host signed with ***")
    assert len(failure.words) < 250


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    """A broken server as the endpoint of S3, with no waiting between two tries."""
    import s3fs

    with broken_server() as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
        monkeypatch.setattr(objects, "FIRST_PAUSE_S", 0.001)
        monkeypatch.setattr(objects, "LONGEST_PAUSE_S", 0.001)
        monkeypatch.setattr(objects, "_heard", set())
        monkeypatch.setattr(objects, "_given_up", set())
        monkeypatch.setattr(path_or_url, "WAIT_S", 0.001)
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
        s3fs.S3FileSystem.clear_instance_cache()


def kinds(server: Broken) -> dict[str, str]:
    """What is made of the server's answers to S3's ways to read and write, and to a web server's.

    Only one that never answers is waited for briefly: of the others, a busy machine may be slow to send the answer.
    """
    import aiohttp
    import fsspec
    from fsspec.asyn import sync

    wait_s = 0.2 if server.answers == [SILENT] else 60
    patience = {"retries": {"max_attempts": 0}, "read_timeout": wait_s, "connect_timeout": wait_s}
    s3 = fsspec.filesystem("s3", config_kwargs=patience, skip_instance_cache=True)
    timeout = aiohttp.ClientTimeout(total=wait_s)
    http = fsspec.filesystem("http", client_kwargs={"timeout": timeout}, skip_instance_cache=True)
    found = {}
    for name, action in {
        "read": lambda: s3.cat_file("bucket/key"),
        # As `pipe_file` does it, which would try again itself; with its limit of time as in `Objects`.
        "write": lambda: sync(
            s3.loop, s3._call_s3, "put_object", Bucket="bucket", Key="key", Body=b"x", timeout=10 * wait_s
        ),
        "web": lambda: http.cat_file(f"{server.url}/key"),
    }.items():
        try:
            action()
            found[name] = "fine"
        except Exception as error:
            found[name] = failure_of(error).kind
    return found


NO_HTTP = b"\x15\x03\x03\x00\x02\x02\x28"  # TLS's alert: a port that speaks TLS was asked without it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (CLOSED, "away"),
        (RESET, "away"),
        (SHORT, "away"),
        (SILENT, "away"),
        (NO_HTTP, "away"),
        (b"hello there\r\n\r\n", "away"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "away"),
        (b"HTTP/1.1 9x9 Oops\r\n\r\n", "away"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "away"),
        (HEAD + b"x\r\n\r\n", "away"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", "away"),
        (answer(500, "InternalError"), "away"),
        (answer(502, ""), "away"),
        (answer(503, "SlowDown"), "away"),
        (answer(504, ""), "away"),
        (answer(429, "TooManyRequests"), "away"),
        (answer(400, "InvalidArgument"), "other"),
        (answer(403, "AccessDenied"), "refused"),
        (answer(404, "NoSuchKey"), "missing"),
    ],
)
def test_what_real_libraries_make_of_broken_servers(server: Broken, content: Any, kind: str) -> None:
    server.answers = [content]
    assert kinds(server) == dict.fromkeys(("read", "write", "web"), kind)


@pytest.mark.parametrize("chunks", [b"5\r\nabc", b"zz\r\nabc"])
def test_a_web_server_that_breaks_off_in_a_chunk(server: Broken, chunks: bytes) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks]
    assert kinds(server)["web"] == "away"


def test_nothing_listens(server: Broken) -> None:
    with broken_server() as gone:
        pass
    server.url = gone.url
    assert kinds(server)["web"] == "away"


@pytest.mark.slow
def test_an_upload_that_was_cut_off_is_tried_again(server: Broken) -> None:
    server.answers = [answer(400, "RequestTimeout")]
    assert kinds(server)["write"] == "away"


@pytest.mark.slow
@pytest.mark.parametrize("create", [True, False])
def test_a_silent_server_does_not_hold_a_write_for_ever(
    server: Broken, monkeypatch: pytest.MonkeyPatch, tmp_path: path_or_url.Path, create: bool
) -> None:
    server.answers = [SILENT]
    monkeypatch.setattr(objects, "WRITE_S", 0.2)
    monkeypatch.setattr(objects, "FIRST_PATIENCE_S", 0.0)
    with pytest.raises(StoreError, match=r"cannot write key: it does not answer .*Is it up, and its address right"):
        Objects("s3://bucket").write("key", b"x", create)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"cannot write key: it does not answer"):
        Objects("s3://bucket").upload(tmp_path / "file", "key")


BREAKS = [CLOSED, RESET, SHORT, NO_HTTP, answer(503, "SlowDown")]


@pytest.mark.slow
@pytest.mark.parametrize("content", BREAKS)
def test_a_store_is_asked_again_after_a_cut_connection(server: Broken, content: Any) -> None:
    server.answers = [content, content, WHOLE]
    assert Objects("s3://bucket").read("key", 100) == b"hello"


@pytest.mark.parametrize("content", BREAKS)
def test_a_source_is_asked_again_after_a_cut_connection(server: Broken, content: Any) -> None:
    server.answers = [content, content, WHOLE]
    with path_or_url.local_copy(f"{server.url}/a.mp4", 100) as copy:
        assert copy.read_bytes() == b"hello"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (answer(400, "InvalidArgument"), ZoetropeError, "cannot be reached: it answers 400"),
        (answer(403, "AccessDenied"), BadSample, "no permission to read .*: HTTP status 403"),
        (answer(404, "NoSuchKey"), BadSample, "there is no file"),
        (answer(410, "Gone"), BadSample, "there is no file"),
    ],
)
def test_an_answer_is_not_asked_for_again(server: Broken, content: Any, error: type[Exception], says: str) -> None:
    server.answers = [content]
    with pytest.raises(error, match=says) as caught, path_or_url.opened(f"{server.url}/a.mp4"):
        pass
    assert isinstance(caught.value, BadSample) == (error is BadSample)
    assert server.asked <= 2  # fsspec asks for the head, then for the whole
    server.asked = 0
    with pytest.raises((StoreError, FileNotFoundError)):
        Objects("s3://bucket").download("key", path_or_url.Path("unused"))
    assert server.asked <= 2


def test_a_source_that_stays_away_stops_the_run(server: Broken) -> None:
    server.answers = [NO_HTTP]
    with pytest.raises(ZoetropeError, match=r"cannot be reached: what came is no answer, or half of one") as caught:
        path_or_url.tried(f"{server.url}/a.mp4", lambda fs, path: fs.cat_file(path))
    assert not isinstance(caught.value, BadSample)
    assert server.asked == path_or_url.TRIES


def test_a_full_disk_of_this_node_is_no_fault_of_the_host(server: Broken) -> None:
    def full(fs: Any, path: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        ZoetropeError, match=r"cannot be kept in /.*: .*No space left on device. Make room there, or set"
    ):
        path_or_url.tried("http://host/a.mp4", full)
