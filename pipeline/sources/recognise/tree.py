"""What sources are shown to say whether it is theirs: every file below a folder, by name and size."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from pipeline.sources.class_folders import walk
from pipeline.sources.listing import SPLIT_OF
from pipeline.sources.path_or_url import suffix


@dataclass(frozen=True)
class Tree:
    """The files that are not hidden below `root`, an absolute path.

    sizes: path relative to `root`, with forward slashes -> bytes, in a fixed order
    """

    root: Path
    sizes: Mapping[str, int]

    @cached_property
    def suffixes(self) -> dict[str, str]:
        """Path -> extension with its dot, in lower case."""
        return {name: suffix(name) for name in self.sizes}

    @cached_property
    def images(self) -> list[str]:
        """Pictures, by their extensions."""
        return self.named(*IMAGE_EXTENSIONS)

    @cached_property
    def videos(self) -> list[str]:
        """Videos, by extensions that no picture has."""
        return self.named(*(VIDEO_EXTENSIONS - IMAGE_EXTENSIONS))

    def named(self, *suffixes: str) -> list[str]:
        """Return the files of these extensions."""
        return [name for name, own in self.suffixes.items() if own in suffixes]

    def path(self, name: str) -> str:
        """Return the absolute path of a file or folder."""
        return str(self.root / name) if name else str(self.root)


@dataclass(frozen=True)
class Guess:
    """What a source takes a folder for.

    task:   `task.kind`
    source: `data.source` as a recipe says it, with absolute paths
    words:  what it is, as in "a folder a class"
    notes:  what a user should know of the guess, in sentences
    options: keys of `task` beside its kind
    """

    task: str
    source: Mapping[str, Any]
    words: str
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def tree_of(data: Path) -> Tree:
    """Return the tree of a folder; of a file, the one of its folder with that file alone."""
    data = data.expanduser().resolve()
    if data.is_file():
        return Tree(data.parent, {data.name: data.stat().st_size})
    return Tree(data, {name: status.st_size for name, status in walk(data, "images, videos, a table or tars")})


def by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Map each folder -> the paths that lie in it itself; "" is the root."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return found


def common_start(texts: Iterable[str]) -> str:
    """Return how all texts begin."""
    every = list(texts)
    first, last = min(every, default=""), max(every, default="")
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]


def common_folder(names: Iterable[str]) -> str:
    """Return the innermost folder that all paths lie in; "" is the root."""
    return common_start(f"{name.rpartition('/')[0]}/" for name in names).rpartition("/")[0]


def is_split(name: str) -> bool:
    """Tell whether a folder is called as a split is."""
    return name.lower() in SPLIT_OF
