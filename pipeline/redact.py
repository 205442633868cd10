"""Secrets stay out of whatever is written, printed or hashed: passwords in URLs, signed queries, keys named `token`.

Rotating a credential must not make an artifact anew either, so fingerprints are taken after redaction.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
SHORTEST = 8  # characters of a value in the environment that is looked for; shorter ones are words

_NAMES = (
    r"(?:password|passwd|secret|token|sig|signature|credentials?|x-amz-[a-z-]+|awsaccesskeyid"
    r"|(?:api|access|secret|secret[_-]access|account|private)[_-]?key(?:[_-]?id)?)"
)
_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/\s]*@")
# Without a colon the user part may be a token, as in https://TOKEN@github.com; in abfs://container@account it is none.
_USER = re.compile(r"(https?://)[^/@\s:]+@")
_QUERY = re.compile(rf"([?&;]{_NAMES}=)[^&;#\s]*", re.IGNORECASE)
# Whole names only, but for the unmistakable ones: `pool_token: cls` is a choice that changes a result.
_NAME = rf"(?:{_NAMES}|[\w-]*(?:password|passwd|secret))"
_ARGUMENT = re.compile(rf"^((?:-*|[\w.-]*\.){_NAME}=).*", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"(SECRET|TOKEN|PASSWORD|PASSWD|SECRET_ACCESS_KEY|ACCESS_KEY_ID|ACCOUNT_KEY|CONNECTION_STRING)$")
_KEY = re.compile(_NAME, re.IGNORECASE)


def redact(text: str) -> str:
    """`text` without passwords of URLs, signed query parameters, or the value of an argument `a.b.token=...`.

    >>> redact("tracking.uri=https://me:secret@host/x")
    'tracking.uri=https://me:***@host/x'
    """
    text = _PASSWORD.sub(rf"\g<1>{HIDDEN}@", text)
    text = _USER.sub(rf"\g<1>{HIDDEN}@", text)
    text = _QUERY.sub(rf"\g<1>{HIDDEN}", text)
    return _ARGUMENT.sub(rf"\g<1>{HIDDEN}", text)


def redact_log(text: str) -> str:
    """The same for a log or an error, which may also hold what the environment keeps secret (AWS_SECRET_ACCESS_KEY).

    Not for recipes: fingerprints would then depend on the environment.
    """
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _VARIABLE.search(name):
            text = text.replace(value, HIDDEN)
    return redact(text)


def redact_values(value: Any) -> Any:
    """The same for a JSON value: every string in it, and whole strings under a key that names a secret."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(inner, str) and _KEY.fullmatch(str(key)) else redact_values(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_values(inner) for inner in value]
    return value
