"""A real S3 API, moto's, behind a layer that can be told to fail."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

KEY, SECRET = "AKIDFORTESTS", "secret-that-nobody-may-see"
BUCKET = "bucket"
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
