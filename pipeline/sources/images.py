"""Images with masks beside them: two folders whose files have the same names, and folders of splits or a ratio."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS
from pipeline.recipe.sources import ImagesSource
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.folder import is_utf8, tree_digest, walk
from pipeline.sources.kinds import counted, kind
from pipeline.sources.listing import SPLITS, Candidate, Listing, held_out
from pipeline.sources.masks import foreground_of, masks_of

SPLIT = "{split}"
SPELT = {"train": ("train", "training"), "val": ("val", "validation", "valid")}
LAYOUT = "images, and in data.source.masks a PNG of the same name for each"
PNG = frozenset({".png"})


def look(source: ImagesSource, task: TaskSection, val_share: float) -> Listing:
    """List the candidates of the folders. ZoetropeError where no image has what belongs to it, with names of some."""
    named = {"path": source.path, "masks": source.masks, "instances": source.instances}
    given = {key: path for key, path in named.items() if path is not None}
    if task.answers == "mask" and len(given) == 1:
        raise ZoetropeError(f"data.source.masks: is missing, and task.kind {task.kind} needs masks, or instances.")
    by_ratio = SPLIT not in source.path
    if mixed := [key for key, path in given.items() if (SPLIT not in path) != by_ratio]:
        has, lacks = ("path", mixed[0]) if not by_ratio else (mixed[0], "path")
        raise ZoetropeError(f"data.source.{lacks}: has no {SPLIT}, and data.source.{has} has; write it in both.")
    found = _Found()
    for split in ("",) if by_ratio else SPLITS:
        folders = {key: _folder(path, split) for key, path in given.items()}
        if missing := [key for key, folder in folders.items() if key != "path" and not folder.is_dir()]:
            key = missing[0]
            raise ZoetropeError(
                f"data.source.{key}: {folders[key]} is no folder. It should hold a PNG for each image of "
                "data.source.path, of the same name."
            )
        _pair(source, folders, split, val_share, found)
    where = f"data.source.path: {source.path}"
    if not found.candidates:
        first = next(iter(found.refused.items()), None)
        why = f"; {first[0]}: {first[1]}" if first else f"; there is {counted(found.others) or 'nothing'}"
        raise ZoetropeError(f"{where} holds no image with all that belongs to it{why}. It should hold {LAYOUT}.")
    masks = {}
    if source.masks:
        masks = {"": masks_of(source)}
    elif source.instances:
        masks = {"": foreground_of(source)}
    return Listing(
        sorted(found.candidates, key=lambda candidate: candidate.key),
        found.others,
        by_ratio,
        where,
        LAYOUT,
        own_split=f"write {SPLIT} in the paths, and have folders train and val",
        refused=found.refused,
        class_order=tuple(name for one in masks.values() for name in one.classes if name),
        masks=masks,
    )


def digest(source: ImagesSource) -> str:
    """Hash what the folders hold, by relative path, size and time of change, and what the classes' file says."""
    known = hashlib.sha256()
    for path in (source.path, source.masks, source.instances):
        for split in SPLITS if path and SPLIT in path else ("",):
            known.update(f"{path and tree_digest(_folder(path, split), LAYOUT)}\n".encode())
    known.update(repr(masks_of(source)).encode())
    return known.hexdigest()


@dataclass
class _Found:
    candidates: list[Candidate] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)


def _folder(path: str, split: str) -> Path:
    """Return the folder of a split, by the first of its spellings that is there."""
    folders = [Path(path.replace(SPLIT, name)).resolve() for name in SPELT.get(split, ("",))]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _pair(source: ImagesSource, folders: dict[str, Path], split: str, val_share: float, found: _Found) -> None:
    """Enter the images of one split with what belongs to them, and refuse what lacks its half."""
    suffixes = {"masks": source.mask_suffix, "instances": source.instance_suffix}
    beside = {
        key: _by_stem(folders[key], PNG, suffixes[key], found, folders[key] == folders["path"])
        for key in folders
        if key != "path"
    }
    companions = {folders[key] / name for key, of in beside.items() for names in of.values() for name in names}
    images = _by_stem(folders["path"], IMAGE_EXTENSIONS, source.image_suffix, found, False)
    prefix = f"{split}/" if split else ""
    taken: set[str] = set()
    for stem, several in images.items():
        names = [name for name in several if folders["path"] / name not in companions]
        if not names:
            continue
        key = prefix + names[0]
        taken.add(stem)
        if len(names) > 1:
            found.refused |= {prefix + name: f"it and others have one name: {', '.join(names)}" for name in names}
            continue
        lacking = [which for which, of in beside.items() if stem not in of]
        if lacking:
            found.refused[key] = _lacks(lacking[0], folders[lacking[0]], stem, suffixes[lacking[0]], beside[lacking[0]])
            continue
        own = split or ("val" if held_out(key, val_share) else "train")
        paths = {which: str(folders[which] / of[stem][0]) for which, of in beside.items()}
        members = {"inst.png": paths["instances"]} if "instances" in paths else {}
        if paths:
            members["seg.png"] = paths.get("masks") or paths["instances"]
        found.candidates.append(Candidate(key, str(folders["path"] / names[0]), (), own, members=members))
    for which, of in beside.items():
        for stem in of.keys() - taken:
            name = f"{folders[which].name}/{of[stem][0]}"
            found.refused[prefix + name] = f"it has no image: {folders['path']} holds no {stem}{source.image_suffix}.*"


def _by_stem(root: Path, extensions: frozenset[str], suffix: str, found: _Found, quiet: bool) -> dict[str, list[str]]:
    """Map the files below `root`: their paths without `suffix` and extension -> their paths. Others are counted."""
    files: dict[str, list[str]] = {}
    for name, _ in walk(root, LAYOUT):
        stem, dot, extension = name.rpartition(".")
        if f".{extension.lower()}" not in extensions or not dot:
            found.others[kind(Path(name).suffix.lower())] += not quiet
        elif not is_utf8(name):
            found.others["with a name that is not UTF-8"] += 1
        elif not stem.endswith(suffix):
            found.others[f"whose names do not end in {suffix}"] += not quiet
        else:
            files.setdefault(stem.removesuffix(suffix), []).append(name)
    return files


def _lacks(which: str, folder: Path, stem: str, suffix: str, there: dict[str, list[str]]) -> str:
    """Why an image has no mask, and where its name is the beginning of one's, how to say so."""
    what, key = ("mask", "mask_suffix") if which == "masks" else ("instance map", "instance_suffix")
    words = f"it has no {what}: there is no {folder / stem}{suffix}.png"
    longer = next((other for other in there if other.startswith(stem)), None)
    return words + (
        f"; is {longer}{suffix}.png it? Then data.source.{key}={longer[len(stem) :]}{suffix}" if longer else ""
    )
