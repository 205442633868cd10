"""A folder a class: `train/<class>/*`, `val/<class>/*` and perhaps `test/<class>/*`, or one tree of `<class>/*`."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import lru_cache, partial
from pathlib import Path

from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import CONVERT, BadSample
from pipeline.recipe.sources import FolderSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.kinds import PAPERS, counted, extensions_of, kind
from pipeline.sources.labels import class_name
from pipeline.sources.listing import NEEDED, SPELT, SPLIT_OF, Candidate, Listing

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
LAYOUT = "one folder a class, or train/ and val/ with one folder a class in each"


def walk(root: Path, layout: str = LAYOUT) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file below `root` that is not hidden: its path relative to `root` and its status, in a fixed order.

    Links are followed. One that leads nowhere counts as a file: reading it then tells so.
    """
    if not root.is_dir():
        what = "is a file" if root.is_file() else "is no folder" if root.exists() else "does not exist"
        raise _error(f"{root} {what}. It should be a folder with {layout}.")
    try:
        yield from _walk(root, "", ())
    except OSError as error:
        raise _error(f"{error.filename} cannot be listed: {error.strerror}. Mend its permissions.") from error


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, os.stat_result]]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link back to a folder that it lies in
        return
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", (*above, here))
            continue
        try:
            status = entry.stat()
        except FileNotFoundError:
            status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):  # no pipe, which would block whoever opens it
            yield prefix + entry.name, status


def tree_digest(root: Path, layout: str = LAYOUT) -> str:
    """Compute the sha256 over every file below `root`: relative path, size and time of change."""
    listing = hashlib.sha256()
    for key, status in walk(root, layout):
        listing.update(os.fsencode(key) + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return listing.hexdigest()


def look(source: FolderSource, task: TaskSection, split: Split, bands: Bands = RGB) -> Listing:
    """List the candidates of a folder. Raises ZoetropeError, which says how the folder should look."""
    extensions = extensions_of(task.modality, bands)
    root = Path(source.path).resolve()
    keys: list[str] = []
    passed_over: dict[str, str] = {}
    for key, _ in walk(root):
        suffix = Path(key).suffix.lower()
        if suffix not in extensions:
            passed_over[key] = kind(suffix)
        elif not is_utf8(key):
            passed_over[key] = "with a name that is not UTF-8"
        else:
            keys.append(key)
    return by_class(root, keys, passed_over, extensions, LAYOUT)


def digest(source: FolderSource) -> str:
    """Hash what the folder holds, by relative path, size and time of change.

    Contents are hashed when they are sharded.
    """
    return tree_digest(Path(source.path))


def by_class(
    root: Path, keys: list[str], passed_over: dict[str, str], extensions: frozenset[str], layout: str
) -> Listing:
    """Return the candidates among `keys`, paths below `root`, whose folders say their class and perhaps their split.

    `passed_over` are paths of other files, each with what it is. A class of which there are only such files is lost.
    """
    splits = _split_folders(root, keys, passed_over, layout)
    by_ratio = "val" not in splits.values()
    others = Counter(passed_over.values())
    candidates, stray = [], []
    name_of = lru_cache(maxsize=None)(partial(_class_of, root))
    for key in keys:
        parts = key.split("/")
        top = parts.pop(0) if splits else ""
        split = splits.get(top, "")
        if top and (not split or (split == "test" and len(parts) < 2)):
            others[f"in {kind(top)}" if parts else "outside of train/ and val/"] += 1
        elif len(parts) < 2:
            stray.append(key)
        else:
            chosen = "" if by_ratio and split != "test" else split
            candidates.append(Candidate(key, str(root / key), (name_of(parts[0]),), chosen))
    layout += _table_words(root, passed_over)
    if not candidates:
        raise _error(_nothing(root, extensions, others, stray, layout))
    if stray:
        others["outside of a class folder"] += len(stray)
    there = {candidate.split for candidate in candidates}
    empty = [top for top, split in splits.items() if split in NEEDED and split not in there]
    if empty and not by_ratio:
        raise _error(f"{root / empty[0]} holds no file of {', '.join(sorted(extensions))}.")
    classes = {candidate.labels[0] for candidate in candidates}
    return Listing(
        sorted(candidates, key=lambda candidate: candidate.key),
        others,
        by_ratio,
        where=f"data.source.path: {root}",
        layout=layout,
        own_split="make folders train/ and val/",
        lost=_lost(passed_over, splits, classes, name_of),
    )


def _class_of(root: Path, folder: str) -> str:
    """Return the class that a folder is named after. ZoetropeError for a name that is none."""
    try:
        return class_name(folder)
    except BadSample as error:
        raise _error(f"{root} has the folder {folder!r}, which names no class: {error.reason}. Rename it.") from error


def _lost(
    passed_over: Mapping[str, str], splits: Mapping[str, str], there: Set[str], name_of: Callable[[str], str]
) -> dict[str, str]:
    """Return the classes that no candidate is of, with what their folders hold instead: not papers alone."""
    found: dict[str, Counter[str]] = {}
    convert: dict[str, str] = {}
    for key, what in passed_over.items():
        parts = key.split("/")
        if splits and splits.get(parts.pop(0)) not in NEEDED:
            continue
        if len(parts) >= 2 and what not in PAPERS and (name := name_of(parts[0])) not in there:
            found.setdefault(name, Counter())[what] += 1
            if what in CONVERT:
                convert[name] = f" ({CONVERT[what]})"
    return {name: counted(others) + convert.get(name, "") for name, others in found.items()}


def is_utf8(name: str) -> bool:
    """Tell whether a file's name can be written down."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _split_folders(root: Path, keys: list[str], others: Mapping[str, str], layout: str) -> dict[str, str]:
    """Return the folders that are splits, each by its first name that is there; none where folders are classes.

    ZoetropeError where they only look like splits. `train/` is one where files lie two folders deep in it, whatever
    lies beside; another name of it only beside nothing but splits, as a class may be called so.
    """
    tops = {key.split("/")[0] for key in keys if "/" in key}
    has_train = any(key.startswith("train/") and key.count("/") >= 2 for key in keys)
    if not has_train and not (tops and all(name.lower() in SPLIT_OF for name in tops)):
        return {}
    named = tops | {key.split("/")[0] for key in others if "/" in key}
    found: dict[str, str] = {}
    for split, names in SPELT.items():
        if there := [name for name in named if name.lower() in names]:
            found[min(there, key=lambda name: (names.index(name.lower()), name.lower() != name, name))] = split
    train = next((name for name, split in found.items() if split == "train"), None)
    if train is None or not any(key.startswith(f"{train}/") and key.count("/") >= 2 for key in keys):
        seen = ", ".join(f"{name}/" for name in sorted(tops))
        raise _error(f"{root} has {seen}. They look like splits, not like classes: it should hold {layout}.")
    if "val" not in found.values() and (left := sorted(tops - found.keys())):
        beside = ", ".join(f"{name}/" for name in left[:5])
        raise _error(
            f"{root} has {train}/ and {beside}, but no val/. Name the held-out folder val/, "
            f"or leave {train}/ alone: then a share of data.split.val is held out of it."
        )
    return found


def _table_words(root: Path, passed_over: Iterable[str]) -> str:
    """Return what to do where a table lies beside the folders, which may say the classes."""
    found = next((key for key in passed_over if "/" not in key and Path(key).suffix.lower() in TABLES), None)
    if found is None:
        return ""
    return f"; if {found} says the class of each file, set data.source={{kind: table, path: {root / found}}}"


def _nothing(root: Path, extensions: frozenset[str], others: Counter[str], stray: list[str], layout: str) -> str:
    wanted = ", ".join(sorted(extensions))
    if stray:
        more = f" and {len(stray) - 1} more lie" if len(stray) > 1 else " lies"
        return f"{root}: {stray[0]}{more} beside the class folders. It should hold {layout}."
    if others:
        convert = next((f": {CONVERT[what]}." for what in others if what in CONVERT), None)
        return f"{root} holds no file of {wanted}, but {counted(others)}{convert or '. Does task.kind fit this data?'}"
    return f"{root} is empty. It should hold {layout}; files may be {wanted}."


def _error(what: str) -> ZoetropeError:
    return ZoetropeError(f"data.source.path: {what}")
