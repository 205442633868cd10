"""How this package reads and writes its small JSON files and hashes its large ones."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.base.errors import ZoetropeError

Content = TypeVar("Content")

TEMPORARY = ".tmp"


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; it takes the name `path` when the block ends well, else it
    goes.

    A process that is killed inside leaves at most a file whose name ends in `.tmp`. The content is on the disk before
    the name is, and the name before this returns, so of two files published one after the other, a power cut never
    leaves only the second.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Return when a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Write the whole file or nothing."""
    with publishing(path) as temporary:
        temporary.write_bytes(content)


def read_capped(path: Path, max_bytes: int, what: str) -> bytes:
    """Read the file's bytes.

    ZoetropeError, naming `what` and the path, when it is not there or larger than `max_bytes`.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ZoetropeError(f"{path}: the {what} cannot be read: {error.strerror}") from error
    if len(content) > max_bytes:
        raise ZoetropeError(f"{path}: the {what} has more than {max_bytes} bytes; this is no {what} of ours")
    return content


def parse(adapter: TypeAdapter[Content], content: bytes, path: Path, what: str) -> Content:
    """Parse the typed content of a JSON file.

    ZoetropeError, naming `what`, the path and the first misfits, otherwise.
    """
    try:
        return adapter.validate_json(content, strict=True)
    except ValidationError as error:
        misfits = [
            f"{'.'.join(map(str, misfit['loc'])) or 'content'}: {misfit['msg']}"
            for misfit in error.errors(include_url=False, include_input=False)[:3]
        ]
        raise ZoetropeError(f"{path}: this {what} does not fit: {'; '.join(misfits)}") from error


def sha256(path: Path) -> str:
    """Compute the hexadecimal sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
