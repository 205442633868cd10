"""A folder a class."""

from collections.abc import Iterable

from pipeline.base.errors import ZoetropeError
from pipeline.sources.recognise.tree import Guess, Tree, is_split

PARTS = frozenset({"images", "masks", "annotations", "labels", "instances", "imgs", "jpegimages"})
"""Folders of a data set whose targets lie beside its pictures; two of them in a folder make it no class."""
SHOWN = 5


def recognise(tree: Tree) -> Guess | None:
    """Take pictures or videos that lie in folders, or in those of train/. ZoetropeError for several data sets."""
    modality, names = ("video", tree.videos) if len(tree.videos) > len(tree.images) else ("image", tree.images)
    inner, names = _inner(names)
    below: dict[str, set[str]] = {}
    for name in names:
        top, *folders = name.split("/")[:-1] or [""]
        below.setdefault(top, set()).update(folders[:1])
    if not any(below) or (set(below) == {""}):
        return None
    splits = {name for name in below if is_split(name)}
    if several := [name for name in sorted(below) if name not in splits and is_data_set(below[name])]:
        raise data_sets(tree, [f"{inner}/{name}" if inner else name for name in several])
    classes = len({name for top in splits for name in below[top]} if splits else set(below) - {""})
    if not classes:
        return None
    notes = (f"the classes lie in {inner}/, the only folder there",) if inner else ()
    words = f"a folder a class, {classes:,} of them" + (f", below {_listed(splits)}" if splits else "")
    return Guess(f"{modality}-classification", {"kind": "folder", "path": tree.path(inner)}, words, notes)


def _inner(names: list[str]) -> tuple[str, list[str]]:
    """Go into folders that are the only one and hold no file themselves, as an unpacked archive makes them."""
    inner = ""
    while names and len({name.partition("/")[0] for name in names}) == 1:
        top = names[0].partition("/")[0]
        if is_split(top) or any(name.count("/") < 2 for name in names):
            break
        inner = f"{inner}/{top}" if inner else top
        names = [name.partition("/")[2] for name in names]
    return inner, names


def data_sets(tree: Tree, folders: list[str]) -> ZoetropeError:
    """Make the error for folders that are data sets of their own."""
    shown = ", ".join(f"{name}/" for name in folders[:SHOWN]) + (", ..." if folders[SHOWN:] else "")
    return ZoetropeError(
        f"{tree.root} holds data sets and no classes: {shown}. Look at one of them: python -m pipeline init "
        f"{tree.path(folders[0])}"
    )


def is_data_set(folders: Iterable[str]) -> bool:
    """Tell whether a folder with these folders in it is a data set of its own, rather than a class."""
    names = {name.lower() for name in folders}
    return any(map(is_split, names)) or len(names & PARTS) > 1


def _listed(names: Iterable[str]) -> str:
    *most, last = sorted(f"{name}/" for name in names)
    return f"{', '.join(most)} and {last}" if most else last
