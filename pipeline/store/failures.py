"""What went wrong at an object store, in words: whatever s3fs, gcsfs, adlfs and the libraries below them raise."""

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.base.errors import cut
from pipeline.base.redact import redact_log

Kind = Literal["away", "missing", "there already", "no place", "refused", "full", "not offered", "this node", "other"]

# Names and not classes, a base class's too: none of these libraries need be installed.
_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "DefaultCredentialsError")
_AWAY = (
    "Timeout",
    "Connection",
    "Connector",
    "Disconnected",
    "IncompleteRead",
    "EndOfStream",
    "SSLError",
    "PayloadError",
    "gaierror",
    "Checksum",
    *("ProtocolError", "ChunkedEncodingError", "BadStatusLine"),  # urllib3's, requests', http.client's
    *("ServiceRequestError", "ServiceResponseError", "TransportError"),  # azure's, google's
)
_NO_ANSWER = (
    "HttpProcessingError"  # aiohttp's parser: what came is no HTTP, or it was cut off. Its `code` is always 400
)
_AWAY_ERRNO = (errno.EBUSY, errno.EREMOTEIO, errno.EAGAIN, errno.EPIPE)  # s3fs: SlowDown and InternalError
# An error of the service comes with its status, or without a number; these are of this node's disk.
_LOCAL_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
_AWAY_STATUS = (408, 409, 425, 429)
_AWAY_CODES = ("RequestTimeout", "IncompleteBody", "BadDigest")  # S3's, of status 400, for an upload that was cut off
_FULL = ("quota", "storagefull", "insufficientstorage")
_NO_PLACE = ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName")
_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed")
_MOST_TEXT = 200


@dataclass(frozen=True)
class Failure:
    """`kind` decides what to do ("away": try again); `words` say what happened and what the user can do.

    `status` is that of the service's answer, where there was one.
    """

    kind: Kind
    words: str
    status: int | None = None


def failure_of(error: BaseException) -> Failure:
    """Sort an error out, by its HTTP status and code where it has them."""
    names = {base.__name__ for cause in _causes(error) for base in type(cause).__mro__}
    if _NO_ANSWER in names:
        return Failure("away", f"what came is no answer, or half of one ({_text(error)})")
    status, code = _status(error)
    kind, words = _sorted_out(error, names, status, code)
    return Failure(kind, words, status)


def _sorted_out(error: BaseException, names: set[str], status: int | None, code: str) -> tuple[Kind, str]:
    number = getattr(error, "errno", None)
    answer = " ".join(str(part) for part in (status, code if code != str(status) else None) if part)
    if status is None and number in _LOCAL_ERRNO:
        return "this node", _text(error)
    if any(word in code.lower() for word in _FULL) or status == 507:
        return "full", f"it is full or its quota is used up ({answer or _text(error)}). Free some room there"
    if status == 412 or isinstance(error, FileExistsError):
        return "there already", "it is there already"
    if code in _NO_PLACE:
        return "no place", f"there is no such bucket ({answer}). Make it, or mend `store`"
    if names & {*_CREDENTIALS}:
        return "refused", f"no credentials were found. {_SET_CREDENTIALS}"
    if code in _KEYS or status == 401:
        return "refused", f"it does not take these credentials ({answer}). {_SET_CREDENTIALS}"
    if status == 403 or isinstance(error, PermissionError):
        return (
            "refused",
            f"it refuses access ({answer or _text(error)}). The credentials are wrong or lack rights: "
            "zoetrope lists, reads, writes and deletes objects below the store's URL",
        )
    if status in (404, 410):
        return "missing", "it is not there"
    if status is not None:
        reply = f"it answers {answer}"
        if status == 501:
            return "not offered", reply
        away = status >= 500 or status in _AWAY_STATUS or code in _AWAY_CODES
        return ("away", reply) if away else ("other", f"{reply}: {_text(error)}")
    if number in _AWAY_ERRNO or any(part in name for name in names for part in _AWAY):
        return "away", f"it does not answer ({_text(error)})"
    if isinstance(error, FileNotFoundError):  # last, as fsspec says so of HTTP requests that failed in any way
        return "missing", "it is not there"
    return "other", f"{type(error).__name__}: {_text(error)}"


_SET_CREDENTIALS = (
    "Set them in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, "
    "GOOGLE_APPLICATION_CREDENTIALS, ...) on every node, or give the machines a role"
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    for _ in range(10):
        if at is None:
            return
        yield at
        at = at.__cause__ or at.__context__


def _status(error: BaseException) -> tuple[int | None, str]:
    """Return the HTTP status and the service's error code, from the first of the causes that has them."""
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        if isinstance(response, Mapping):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status, str(response.get("Error", {}).get("Code", ""))
        for name in ("status_code", "status", "code"):  # azure, aiohttp, gcsfs
            value = getattr(cause, name, None)
            if isinstance(value, int) and 300 <= value < 1000:
                return value, str(getattr(cause, "error_code", None) or "")
    return None, ""


def _text(error: BaseException) -> str:
    return cut(redact_log(" ".join(str(error).split())) or type(error).__name__, _MOST_TEXT)
