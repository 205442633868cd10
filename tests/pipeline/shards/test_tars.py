"""Hostile tars are refused in words, quickly and in little memory; plain ones are read."""

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.shards.tars import MAX_HEADER_BYTES, Member, key_and_extension, members

HIDDEN = "\N{RIGHT-TO-LEFT OVERRIDE}gpj.000"


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> bytes:
    """A header as tarfile writes it, whose size is whatever one claims."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")


def file(name: str, data: bytes = b"data") -> bytes:
    return header(name, size=len(data)) + data + bytes(-len(data) % 512)


def pax(**fields: str) -> bytes:
    """A PAX header for the member that follows."""
    records = b""
    for key, value in fields.items():
        body = f" {key.replace('_', '.')}={value}\n".encode()
        length = len(body) + len(str(len(body) + 2))
        records += str(length).encode() + body
    return header("pax", tarfile.XHDTYPE, len(records)) + records + bytes(-len(records) % 512)


END = bytes(1024)
PLAIN = file("0.jpg") + file("0.cls", b"1") + END


def sealed(block: bytes) -> bytes:
    """The header with its checksum made right."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def negative_size(kind: bytes) -> bytes:
    """CVE-2025-8194: tarfile of some Pythons reads such a tar for ever."""
    block = bytearray(header("0.jpg", kind))
    block[124:136] = b"\xff" * 10 + b"\xfc\x00"  # base 256: -1024
    return PLAIN[:-1024] + sealed(bytes(block)) + END


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "symbolic link": (lambda: header("0.jpg", tarfile.SYMTYPE, link="/etc/passwd") + END, "'0.jpg' that is a symbolic"),
    "hard link": (lambda: file("0.jpg") + header("1.jpg", tarfile.LNKTYPE, link="0.jpg") + END, "is a hard link"),
    "device": (lambda: header("0.jpg", tarfile.CHRTYPE) + END, "is a device"),
    "pipe": (lambda: header("0.jpg", tarfile.FIFOTYPE) + END, "is a pipe"),
    "unknown type": (lambda: header("0.jpg", b"Q") + END, "of the unknown type b'Q'"),
    "absolute name": (lambda: file("/etc/0.jpg") + END, "absolute or leads upwards: '/etc/0.jpg'"),
    "name upwards": (lambda: file("a/../../0.jpg") + END, "absolute or leads upwards"),
    "name upwards, backslashes": (lambda: file("a\\..\\..\\0.jpg") + END, "absolute or leads upwards"),
    "duplicate": (lambda: file("0.jpg") + file("0.cls") + file("0.jpg") + END, "two members named '0.jpg'"),
    "duplicate by ./": (lambda: file("0.jpg") + file("./0.jpg") + END, "two members named '0.jpg'"),
    "hidden direction": (lambda: file(HIDDEN) + END, "name does not print: '.u202egpj.000'"),
    "newline": (lambda: file("0\n.jpg") + END, "does not print: '0.n.jpg'"),
    "not UTF-8": (lambda: file("\udcff.jpg") + END, "does not print"),
    "no name": (lambda: file("") + END, "does not print: ''"),
    "huge size": (lambda: header("0.jpg", size=1 << 40) + END, "should end behind"),
    "huge PAX size": (lambda: pax(size=str(1 << 62)) + file("0.jpg") + END, "should end behind"),
    "negative PAX size": (lambda: pax(size="-512") + file("0.jpg") + END, "should end behind|is no whole tar"),
    "negative size": (lambda: negative_size(tarfile.REGTYPE), "should end behind|two members"),
    "negative size of a PAX header": (lambda: negative_size(tarfile.XHDTYPE), "is no whole tar: a header claims"),
    "negative size of a long name": (
        lambda: negative_size(tarfile.GNUTYPE_LONGNAME),
        "is no whole tar: a header claims",
    ),
    "negative size of an unknown type": (lambda: negative_size(b"Q"), "of the unknown type"),
    "PAX header bomb": (lambda: header("p", tarfile.XHDTYPE, 1 << 33) + END, "a header claims 8,589,934,592 bytes"),
    "long name bomb": (lambda: header("n", tarfile.GNUTYPE_LONGNAME, 1 << 33) + END, "a header claims"),
    "long names without end": (
        lambda: b"".join(header("n", tarfile.GNUTYPE_LONGNAME, 2) + b"x".ljust(512, b"\0") for _ in range(3000)) + END,
        "is no whole tar",
    ),
    "sparse": (lambda: header("0.jpg", tarfile.GNUTYPE_SPARSE) + END, "is a sparse file"),
    "PAX sparse": (
        lambda: pax(GNU_sparse_size="1000000000000", GNU_sparse_map="0,4") + file("0.jpg") + END,
        "is a sparse file",
    ),
    "gzip": (lambda: gzip.compress(PLAIN), r"is compressed \(gzip\)"),
    "gzip bomb": (lambda: gzip.compress(bytes(300 << 20), 9), r"is compressed \(gzip\)"),
    "bzip2": (lambda: bz2.compress(PLAIN), "bzip2"),
    "xz": (lambda: lzma.compress(PLAIN), "xz"),
    "no tar": (lambda: b"no tar at all" * 100, "is no whole tar"),
    "empty": (lambda: b"", "is no whole tar: empty file"),
    "cut in the data": (lambda: file("0.jpg", b"x" * 5000)[:2000], "should end behind"),
    "cut in a header": (lambda: PLAIN[:1300], "cut off: its end mark is missing"),
    "cut between members": (lambda: PLAIN[:1024], "cut off: its end mark is missing at byte 1,024"),
    "two tars": (lambda: PLAIN + PLAIN, "goes on behind its end mark, at byte 3,072: .* `tar --ignore-zeros`"),
    "padded tars": (lambda: PLAIN + bytes(3 << 20) + PLAIN, "goes on behind its end mark, at byte 3,148,800"),
    "a lone zero block": (lambda: PLAIN[:-512] + PLAIN, "goes on behind its end mark, at byte 2,560"),
    "a few bytes more": (lambda: PLAIN + b"\0\0end", "goes on behind its end mark, at byte 3,074"),
    "more zeros than padding": (lambda: PLAIN + bytes(66 << 20), "more than 67,108,864 zeros behind byte 2,048"),
    "damaged header": (lambda: PLAIN[:1030] + b"X" + PLAIN[1031:], "a damaged header at byte 1,024"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tars_are_refused(name: str) -> None:
    make, said = HOSTILE[name]
    content = io.BytesIO(make())
    peaks = []
    for _ in range(3):  # threads that earlier tests left behind allocate as well
        tracemalloc.start()
        try:
            with pytest.raises(ZoetropeError, match=rf"^there/a\.tar: this tar .*{said}"):
                list(members(content, "there/a.tar"))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < 8 << 20, "as much memory as the file claims"


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.shards.tars.MAX_MEMBERS", 3)
    with pytest.raises(ZoetropeError, match="more than 3 members"):
        list(members(io.BytesIO(b"".join(file(f"{i}.jpg") for i in range(4)) + END), "a.tar"))


@pytest.mark.parametrize("padding", [-512, 0, 9000, 20 * 512, 5 << 20])
def test_zeros_behind_the_end_mark_are_padding(padding: int) -> None:
    content = PLAIN + bytes(padding) if padding >= 0 else PLAIN[:padding]
    assert [member.name for member in members(io.BytesIO(content), "a.tar")] == ["0.jpg", "0.cls"]


def test_plain_tars_of_every_format(tmp_path: Path) -> None:
    """Long names, folders, PAX times and `./` are no attack; offsets are those of tarfile."""
    names = ["./0.jpg", "deep/" * 30 + "1.jpg", "höhe/2.jpg", "a b/3.tar.gz"]
    for format_ in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{format_}.tar"
        with tarfile.open(path, "w", format=format_) as tar:
            folder = tarfile.TarInfo("deep")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for i, name in enumerate(names):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = 700 * i, 1.5  # a time that PAX alone can hold
                tar.addfile(info, io.BytesIO(bytes([i]) * info.size))
        with path.open("rb") as opened:
            found = list(members(opened, str(path)))
        assert [member.name for member in found] == ["0.jpg", *names[1:]]
        content = path.read_bytes()
        for i, member in enumerate(found):
            assert content[member.offset : member.offset + member.length] == bytes([i]) * 700 * i


def test_a_header_as_long_as_allowed() -> None:
    name = "x" * (MAX_HEADER_BYTES - 600) + ".jpg"
    content = file(name) + END
    assert [*members(io.BytesIO(content), "a.tar")] == [Member(name, len(content) - 1024 - 512, 4)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("000.jpg", ("000", "jpg")),
        ("a/b/000.JPG", ("a/b/000", "jpg")),
        ("v1.0/000.seg.png", ("v1.0/000", "seg.png")),
        ("n01.440764.jpg", ("n01", "440764.jpg")),
        ("._000.jpg", None),
        (".hidden", None),
        ("README", None),
        ("000.", None),
    ],
)
def test_names_are_taken_apart_as_webdataset_does(name: str, expected: tuple[str, str] | None) -> None:
    from webdataset.tariterators import base_plus_ext

    assert key_and_extension(name) == expected
    key, extension = base_plus_ext(name)
    if expected and key:
        assert expected == (key, extension.lower())
