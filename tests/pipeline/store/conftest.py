"""A server with a real S3 API on loopback, for the tests of stores that are no folders."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.store.s3_server import BUCKET, KEY, SECRET, Server


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
    """An empty bucket, credentials in the environment, and an empty cache."""
    import boto3
    from s3fs import S3FileSystem

    from pipeline.store import objects

    environment = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": _server.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "ZOETROPE_CACHE": str(tmp_path / "cache"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(objects, "FIRST_PATIENCE_S", 1.0)
    monkeypatch.setattr(objects, "PATIENCE_S", 1.0)
    monkeypatch.setattr(objects, "FIRST_PAUSE_S", 0.05)
    S3FileSystem.clear_instance_cache()  # they remember address and credentials
    objects._heard.clear()
    objects._given_up.clear()
    _server.rules.clear()
    _server.seen.clear()
    client = boto3.Session().client("s3", endpoint_url=_server.url)
    client.create_bucket(Bucket=BUCKET)
    yield _server
    _server.rules.clear()
    while found := client.list_objects_v2(Bucket=BUCKET).get("Contents"):
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": row["Key"]} for row in found]})
    S3FileSystem.clear_instance_cache()
