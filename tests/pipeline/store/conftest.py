"""A server with a real S3 API on loopback, for the tests of stores that are no folders."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.remote import RemoteStore
from tests.pipeline.store.s3_server import URL, Server, empty_bucket


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *args: Any) -> None:
            pass

    server = Server()
    app = server.wrap(DomainDispatcherApplication(create_backend_app))
    listening = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield server
    listening.shutdown()


@pytest.fixture
def s3(_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty bucket for a test."""
    with empty_bucket(_server, tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def store(s3: Server) -> RemoteStore:
    """A store in the bucket."""
    return RemoteStore(URL)
