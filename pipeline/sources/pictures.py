"""Pictures with annotations of objects: what their sources share."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.decode.limits import IMAGE_EXTENSIONS, BadSample
from pipeline.sources.class_folders import is_utf8, tree_digest, walk
from pipeline.sources.images import SPLIT
from pipeline.sources.kinds import counted, kind
from pipeline.sources.labels import class_name
from pipeline.sources.listing import Candidate, Listing
from pipeline.sources.path_or_url import read_capped
from pipeline.sources.things import names_in

MAX_NAMES_BYTES = 1 << 20
MAX_ANNOTATION_BYTES = 64 << 20
"""Of the annotations of one picture."""


@dataclass
class Found:
    """What a source finds of pictures and their objects.

    classes: those that the annotations list, in order
    others, refused, notes: as of a listing
    """

    classes: dict[str, None] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def enter(self, key: str, path: Path | str, split: str, objects: Mapping[str, Any]) -> None:
        """Enter a picture with its objects."""
        self.candidates.append(Candidate(key, str(path), names_in(objects), split, objects=objects))

    def listing(self, path: str, by_ratio: bool, layout: str, own_split: str) -> Listing:
        """Return the listing. ZoetropeError where no picture can be used."""
        where = f"data.source.path: {path}"
        if not self.candidates:
            first = next(iter(self.refused.items()), None)
            why = f"{first[0]}: {first[1]}" if first else f"there is {counted(self.others) or 'nothing'}"
            raise ZoetropeError(f"{where} gives no picture with annotations; {why}. It should hold {layout}.")
        return Listing(
            sorted(self.candidates, key=lambda candidate: candidate.key),
            self.others,
            by_ratio,
            where=where,
            layout=layout,
            own_split=own_split,
            refused=self.refused,
            class_order=tuple(self.classes),
            declared=tuple(self.classes),
            notes=tuple(self.notes),
        )


def listed_names(said: str | Sequence[str] | None, key: str = "classes") -> dict[str, None]:
    """Return the classes that a recipe lists, or its file does, a line each; none for None. ZoetropeError for none."""
    if said is None:
        return {}
    names = said
    if isinstance(said, str):
        content = read_capped(said, MAX_NAMES_BYTES, f"data.source.{key}: the file")
        try:
            names = [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError:
            raise ZoetropeError(f"data.source.{key}: {said} is no text in UTF-8.") from None
    try:
        found = [class_name(name) for name in names]
    except BadSample as error:
        raise ZoetropeError(f"data.source.{key}: {error.reason}.") from error
    if twice := [name for name, count in Counter(found).items() if count > 1]:
        raise ZoetropeError(f"data.source.{key}: {twice[0]!r} stands there twice.")
    return dict.fromkeys(found)


def known_name(name: Any, classes: Mapping[str, None]) -> str:
    """Return the class of an object. BadSample for what names none, or none of the classes that are listed."""
    found = class_name(name)
    if classes and found not in classes:
        raise BadSample(
            f"an object of it is of a class that data.source.classes does not list: {unknown('class', found, classes)}"
        )
    return found


def pictures(folder: Path, layout: str, others: Counter[str], passed: Iterable[str] = ()) -> dict[str, list[str]]:
    """Map the pictures below a folder: their paths without extension -> their paths. Others are counted.

    passed: extensions of what is not counted, as it is looked at in another way
    """
    found: dict[str, list[str]] = {}
    for name, _ in walk(folder, layout):
        stem, dot, extension = name.rpartition(".")
        if f".{extension.lower()}" in passed:
            continue
        if not dot or f".{extension.lower()}" not in IMAGE_EXTENSIONS:
            others[kind(Path(name).suffix.lower())] += 1
        elif not is_utf8(name):
            others["with a name that is not UTF-8"] += 1
        else:
            found.setdefault(stem, []).append(name)
    return found


def beside(folder: Path, suffix: str, layout: str) -> dict[str, str]:
    """Map the annotation files below a folder: their paths without extension -> their paths."""
    names = (name for name, _ in walk(folder, layout) if name.lower().endswith(suffix))
    return {name[: -len(suffix)]: name for name in names}


def read_one(path: Path) -> bytes:
    """Read the annotations of one picture. BadSample where they cannot be read, or are too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ANNOTATION_BYTES + 1)
    except OSError as error:
        raise BadSample(f"its annotations {path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_ANNOTATION_BYTES:
        raise BadSample(f"its annotations {path} have more than {MAX_ANNOTATION_BYTES >> 20} MiB")
    return content


def finite(value: Any, what: str) -> float:
    """Return a number of annotations. BadSample for none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise BadSample(f"its annotations say {str(value)[:40]!r} where {what} stands, which is no number")
    return number


def digest_of(folders: Iterable[str], files: Iterable[str], read: Callable[[Path], bytes], layout: str) -> str:
    """Hash what folders hold by size and time of change, and files by content."""
    known = hashlib.sha256()
    for folder in folders:
        known.update(tree_digest(Path(folder), layout).encode())
    for file in files:
        known.update(hashlib.sha256(read(Path(file))).digest())
    return known.hexdigest()


OWN_SPLIT = f"write {SPLIT} in the paths, for folders train and val"
