"""The members of a tar that may come from anywhere: its headers only, under caps; nothing is unpacked or inflated."""

import io
import os
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from pipeline.base.errors import ZoetropeError

MAX_HEADER_BYTES = 16 << 10
"""Of a PAX header or a GNU long name, which tarfile reads as a whole and searches in quadratic time."""
MAX_MEMBERS = 1_000_000
MAX_PADDING_BYTES = 64 << 20
"""Of zeros behind a tar's end mark: writers fill up their last record, of 10 KiB or, for tapes, some MiB."""
_CHUNK_BYTES = 1 << 20
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class Member(NamedTuple):
    """A file in a tar: `offset` and `length` of its data in bytes. Its name is only ever a name, never a path."""

    name: str
    offset: int
    length: int


def key_and_extension(name: str) -> tuple[str, str] | None:
    """Return a member's name as WebDataset takes it apart: a key with its folders, ended by the first dot of the last
    part.

    "a.b/000.seg.PNG" -> ("a.b/000", "seg.png"). None for a name that is no sample's: hidden, or without an extension.
    """
    folder, slash, last = name.rpartition("/")
    stem, dot, extension = last.partition(".")
    return (folder + slash + stem, extension.lower()) if stem and dot and extension else None


class _Capped(io.RawIOBase):
    """What tarfile is given to read from: as tarfile believes the lengths that headers claim, here they have a cap."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size:,} bytes, and may have {MAX_HEADER_BYTES:,}")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def members(file: BinaryIO, where: str) -> Iterator[Member]:
    """Yield the files in a tar, in their order; folders are passed over. `where` names the tar in errors.

    Raises ZoetropeError for what is no whole, plain tar, and for a member that is a link, a device or sparse, whose
    name is absolute, leads upwards, has characters that do not print or stands twice, or that lies outside of the tar.
    Behind the end mark there may be zeros alone: another tar would be lost in silence there.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise _refused(where, f"is compressed ({name}), and samples are read by their place in a plain tar; unpack")
    seen: set[str] = set()
    try:
        with tarfile.open(fileobj=_Capped(file), mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
                if info.isdir():
                    continue
                member = _checked(info, size, where)
                if member.name in seen:
                    raise _refused(where, f"has two members named {member.name!r}; pack")
                seen.add(member.name)
                if len(seen) > MAX_MEMBERS:
                    raise _refused(where, f"has more than {MAX_MEMBERS:,} members; split")
                yield member
            _check_end(file, tar.offset, where)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise _refused(where, f"is no whole tar: {str(error) or type(error).__name__}; pack") from error


def _checked(info: tarfile.TarInfo, size: int, where: str) -> Member:
    name: Any = info.name.removeprefix("./")
    if info.issparse() or info.type not in tarfile.REGULAR_TYPES:
        kind = _KINDS.get(info.type, "a sparse file" if info.issparse() else f"of the unknown type {info.type!r}")
        raise _refused(where, f"has a member {name!r} that is {kind}; pack plain files: pack")
    if not name or not name.isprintable():
        raise _refused(where, f"has a member whose name does not print: {name!r}; rename it and pack")
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
        raise _refused(where, f"has a member whose name is absolute or leads upwards: {name!r}; rename it and pack")
    if info.size < 0 or info.offset_data < tarfile.BLOCKSIZE or info.offset_data + info.size > size:
        raise _refused(where, f"has {size:,} bytes, and its member {name!r} should end behind them; pack")
    return Member(name, info.offset_data, info.size)


def _check_end(file: BinaryIO, offset: int, where: str) -> None:
    """Check the end: tarfile takes a damaged or missing header for the end, and sees nothing of
    what lies behind an end mark.
    """
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        what = "is cut off: its end mark is missing" if len(block) < tarfile.BLOCKSIZE else "has a damaged header"
        raise _refused(where, f"{what} at byte {offset:,}; pack")
    behind = file.tell()
    while chunk := file.read(_CHUNK_BYTES):
        if rest := chunk.lstrip(b"\0"):
            place = file.tell() - len(rest)
            raise _refused(
                where,
                f"goes on behind its end mark, at byte {place:,}: tars were joined by `cat`, probably, "
                "and readers see only the first. Unpack it with `tar --ignore-zeros`, and pack",
            )
        if file.tell() - behind > MAX_PADDING_BYTES:
            raise _refused(where, f"has more than {MAX_PADDING_BYTES:,} zeros behind byte {offset:,}; pack")


def _refused(where: str, what: str) -> ZoetropeError:
    return ZoetropeError(f"{where}: this tar {what} it again.")
