"""Tars as the standard library reads them."""

import tarfile
from pathlib import Path


def members(tar: Path) -> dict[str, bytes]:
    """Name -> content of a tar's files, in their order."""
    with tarfile.open(tar) as opened:
        return {member.name: file.read() for member in opened if (file := opened.extractfile(member))}
