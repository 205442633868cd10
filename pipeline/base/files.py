"""Files of a folder by their names: on a disk that every node sees, or fetched first from where they are kept."""

import errno
import os
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.base.errors import ZoetropeError


class Files(Protocol):
    """A folder that is only read. It can be passed on to other processes and nodes; `str()` says where it is."""

    @property
    def path(self) -> Path:
        """The folder on this node; what was not fetched is not in it."""

    def file(self, name: str) -> Path:
        """Return the local path of a file, by its path in the folder; fetched when it is not on this node yet."""

    def fetch(self, names: Iterable[str]) -> None:
        """Have these files on this node, several fetched at a time."""

    def is_fetched(self, name: str) -> bool:
        """Tell whether a file takes room in this node's cache when it is used."""


@dataclass(frozen=True)
class Folder:
    """A folder on a disk: nothing is ever fetched."""

    path: Path

    def file(self, name: str) -> Path:
        """Tell where the file is, or would be."""
        return self.path / name

    def fetch(self, names: Iterable[str]) -> None:
        """Do nothing where the folder is seen. ZoetropeError where it is not."""
        check_seen(self.path)

    def is_fetched(self, name: str) -> bool:
        """Return False: nothing is fetched."""
        return False

    def __str__(self) -> str:
        return str(self.path)


def check_seen(folder: Path) -> None:
    """Raise ZoetropeError when this node does not see a folder of the store that the driver's node has made."""
    if not folder.is_dir():
        raise ZoetropeError(
            f"the node {socket.gethostname()} does not see {folder}. All nodes of a cluster must see the store at the "
            "same path (NFS, EFS, a ReadWriteMany volume), or it must be a URL: store=s3://bucket/folder."
        )


def as_files(folder: Path | Files) -> Files:
    """Return a path as `Files`; `Files` as they are."""
    return Folder(folder) if isinstance(folder, Path) else folder


def read_small(path: Path, cap_bytes: int) -> bytes:
    """Read the first `cap_bytes` + 1 bytes of a file at most, so that a longer one is told from one that fits.

    Raises OSError, also for what is no file: to open a pipe waits for whoever writes into it, and a device has no end.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device and no file")
        return file.read(cap_bytes + 1)
