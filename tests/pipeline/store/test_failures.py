import errno

import pytest

from pipeline.store.failures import failure_of


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


def test_the_cause_counts() -> None:
    error = OSError(errno.EIO, "translated")
    error.__cause__ = ClientError(507, "StorageFull")
    assert failure_of(error).kind == "full"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-value")
    failure = failure_of(RuntimeError("request https://me:pw@host signed with very-secret-value " + "x" * 500))
    assert failure.words.startswith("RuntimeError: request https://me:***@host signed with ***")
    assert len(failure.words) < 250
