"""A real S3 API, moto's, behind a layer that can be told to fail."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "AKIDFORTESTS", "secret-that-nobody-may-see"
BUCKET = "bucket"
URL = f"s3://{BUCKET}/runs"
"""A store in it."""
Answer = tuple[int, str]
Rule = Callable[[str, str], Answer | None]
"""(method, path) -> status and S3 error code, or None to let the request through."""


@dataclass
class Server:
    """`rules` are asked in turn for every request; `seen` holds all requests that came."""

    url: str = ""
    rules: list[Rule] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def wrap(self, app: Any) -> Any:
        def wrapped(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            self.seen.append((method, path))
            answer = self._credentials(environ)
            for rule in self.rules:
                answer = answer or rule(method, path)
            if answer is None:
                result: Iterable[bytes] = app(environ, start)
                return result
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(f"{answer[0]} {answer[1]}", [("Content-Type", "application/xml")])
            body = f"<?xml version='1.0'?><Error><Code>{answer[1]}</Code><Message>{answer[1]}.</Message></Error>"
            return [b"" if method == "HEAD" else body.encode()]

        return wrapped

    @staticmethod
    def _credentials(environ: dict[str, Any]) -> Answer | None:
        return None if KEY in environ.get("HTTP_AUTHORIZATION", "") else (403, "InvalidAccessKeyId")


def first(count: int, answer: Answer, method: str = "", part: str = "") -> Rule:
    """The first `count` requests of that method whose path has that part get this answer."""
    left = [count]

    def rule(asked: str, path: str) -> Answer | None:
        if left[0] and method in asked and part in path:
            left[0] -= 1
            return answer
        return None

    return rule


@contextmanager
def empty_bucket(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty bucket, credentials in the environment, and an empty cache in `folder`."""
    import boto3
    from s3fs import S3FileSystem

    from pipeline.store import objects

    environment = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "ZOETROPE_CACHE": str(folder / "cache"),
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
    server.rules.clear()
    server.seen.clear()
    client = boto3.Session().client("s3", endpoint_url=server.url)
    client.create_bucket(Bucket=BUCKET)
    yield server
    server.rules.clear()
    while found := client.list_objects_v2(Bucket=BUCKET).get("Contents"):
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": row["Key"]} for row in found]})
    S3FileSystem.clear_instance_cache()
