"""Secrets stay out of whatever is written, printed or hashed: passwords in URLs, signed queries, keys named `token`.

Rotating a credential must not make an artifact anew either, so fingerprints are taken after redaction.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
SHORTEST = 8  # characters of a value in the environment that is looked for; shorter ones are words
LONGEST_NAME = 64

# Names that can be nothing else, whatever stands before the ending: db_password, wandb_api_key, GITHUB_PAT.
_SURE = re.compile(
    r"(?i:passw(?:or)?d|passphrase|secret|credentials?|connection[_-]?string|(?<![a-z])pwd|[_-]pat"
    r"|(?:api|access|secret|private|account|auth|storage|signing|ssh)[_-]?key(?:[_-]?id)?"
    r"|(?:api|access|auth|refresh|session|security|bearer|hub|hf)[_-]?token"
    r"|^x-(?:amz|goog)-[a-z-]+)$"
    # Of variables of the environment these, too: MONKEY and KEY itself are words.
    r"|(?:TOKEN|^PAT|_(?:KEY|PAT)(?:_ID)?)$"
)
_WHOLE = re.compile(r"(?i:token|sig|signature|authorization)")
# Other such names are a sort of data as well, as in `pool_token: cls`, `sort_key: label`: what they hold must tell.
_UNSURE = re.compile(r"(?i:(?:^|[_-])(?:key|token)|^pat)$")
_RANDOM = re.compile(r"(?=[\w.+/~-]*?\d)(?=[\w.+/~-]*?[A-Za-z])[\w.+/~-]{8,}={0,2}")
_IN_QUERY = re.compile(r"(?i:(?:^|[._-])(?:key|token|pat|sig|signature|auth|jwt)|^policy|^key-pair-id)$")

_VALUE = re.compile(r"\"[^\"\n]*\"?|'[^'\n]*'?|[^\s,;&\"'()\[\]{}]+")
_HEADER = re.compile(r"[^\n\"']+")  # two words at least, as in `Authorization: Bearer ...`
# Not behind a slash: folders are called key=3.
_NAMED = re.compile(r"(?<![\w./-])([\w.-]++)[\"']?[ \t]*+(?:=|:(?!//))[ \t]*+")
_ARGUMENT = re.compile(r"([\w.-]++)=(?=.)", re.DOTALL)
_QUERY = re.compile(r"([?&;#])([\w.~%-]++)=[^&;#\s\"']+")

# A password as SQLAlchemy reads a database's URL: up to the last @, whatever stands before that. In other URLs digits
# before a `/` are a port, and an @ behind it belongs to the path.
_DATABASE = r"(?<![\w+])(?i:postgres(?:ql)?|mysql|mariadb|mssql|oracle|cockroachdb)(?:\+\w+)?"
_BEFORE = r"://(?!\[)[^/\s:]*:"
_UNBROKEN = r"(?:(?!://)\S)*@"
_BROKEN = r"(?!\d*(?:[/?#\s,;)\"']|$))(?:(?:(?!://)\S)*@|(?:(?!://)[^\n])*?[ \t](?:(?!://)\S)*@)"
_PASSWORD = re.compile(rf"({_DATABASE}{_BEFORE}){_UNBROKEN}|({_BEFORE}){_BROKEN}")
# Without a colon the user part may be a token, as in https://TOKEN@github.com; in abfs://container@account it is none.
_USER = re.compile(r"(https?://)[^/@\s:]+@")

_VARIABLE = re.compile(
    # GOOGLE_APPLICATION_CREDENTIALS names a file
    r"(SECRET|TOKEN|PASSWORD|PASSWD|(?<!APPLICATION_)CREDENTIALS|_PWD|_PAT|_KEY|_KEY_ID|CONNECTION_STRING)$|^PAT$"
)


def redact(text: str) -> str:
    """Return `text` without passwords of URLs, signed query parameters, or the value of `a.b.token=...` and `PASSWORD:
    ...`.

    >>> redact("tracking.uri=https://me:secret@host/x")
    'tracking.uri=https://me:***@host/x'
    """
    text = _PASSWORD.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}@", text)
    text = _USER.sub(rf"\g<1>{HIDDEN}@", text)
    text = _QUERY.sub(_query, text)
    argument = _ARGUMENT.match(text)
    if argument and _is_secret(argument[1]):
        return argument[0] + HIDDEN
    return _named(text)


def redact_log(text: str) -> str:
    """Redact a log or an error, which may also hold what the environment keeps secret (AWS_SECRET_ACCESS_KEY).

    Not for recipes: fingerprints would then depend on the environment.
    """
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _VARIABLE.search(name):
            text = text.replace(value, HIDDEN)
    return redact(text)


def redact_values(value: Any) -> Any:
    """Redact a JSON value: every string in it, and whole strings under a key that names a secret."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(inner, str) and _is_secret(str(key)) else redact_values(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_values(inner) for inner in value]
    return value


def _is_secret(name: str) -> bool:
    """Tell whether what is called so is a secret, whatever it looks like; of a dotted name the last part counts."""
    last = _last(name)
    return bool(_SURE.search(last) or _WHOLE.fullmatch(last))


def _last(name: str) -> str:
    return name.rpartition(".")[2][-LONGEST_NAME:]


def _query(found: re.Match[str]) -> str:
    name = found[2]
    return f"{found[1]}{name}={HIDDEN}" if _is_secret(name) or _IN_QUERY.search(_last(name)) else found[0]


def _named(text: str) -> str:
    """Return `text` without what stands behind names of secrets, as in `NAME=value`, `name: value`, `"name": "value"`.

    Read from left to right, once: a log may be long, and what stands behind another name may be a name itself.
    """
    parts, end = [], 0
    for found in _NAMED.finditer(text):
        if found.start() < end:
            continue
        last = _last(found[1])
        if last.lower() == "authorization":
            value = _HEADER.match(text, found.end())
        elif _SURE.search(last):
            value = _VALUE.match(text, found.end())
        else:
            value = _RANDOM.match(text, found.end()) if _UNSURE.search(last) else None
        if value:
            parts += [text[end : found.end()], HIDDEN]
            end = value.end()
    return "".join(parts) + text[end:]
