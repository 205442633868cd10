"""Images with masks beside them: two folders whose files have the same names, and folders of splits or a ratio."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS, MAX_IMAGE_BYTES, BadSample
from pipeline.recipe.sources import ImagesSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.class_folders import is_utf8, tree_digest, walk
from pipeline.sources.kinds import counted, extensions_of, kind
from pipeline.sources.listing import NEEDED, SPELT, SPLITS, Candidate, Listing
from pipeline.sources.masks import foreground_of, masks_of

SPLIT = "{split}"
LAYOUT = "images, and in data.source.masks a PNG of the same name for each"
ALONE = "images"
PNG = frozenset({".png"})


class Beside(NamedTuple):
    """What lies beside images: in words, the key of how its names end, and of which formats it is."""

    what: str
    suffix: str
    extensions: frozenset[str] = PNG

    @property
    def file(self) -> str:
        """Say what stands for each image."""
        return "a PNG" if self.extensions == PNG else "an image"


BESIDE = {
    "masks": Beside("mask", "mask_suffix"),
    "instances": Beside("instance map", "instance_suffix"),
    "targets": Beside("target", "target_suffix", IMAGE_EXTENSIONS),
}
"""By the key of its folder."""


def look(source: ImagesSource, task: TaskSection, split: Split, bands: Bands = RGB) -> Listing:
    """List the candidates of the folders. ZoetropeError where no image has what belongs to it, with names of some."""
    given = _given(source)
    if source.targets and len(given) > 2:
        raise ZoetropeError("data.source.targets: are for restoration, which has no use for masks; leave either out.")
    if task.answers == "mask" and not given.keys() & {"masks", "instances"}:
        raise ZoetropeError(f"data.source.masks: is missing, and task.kind {task.kind} needs masks, or instances.")
    if task.answers == "objects" and "instances" not in given:
        raise ZoetropeError(f"data.source.instances: is missing, and task.kind {task.kind} needs the objects' maps.")
    in_folders = SPLIT in source.path
    if mixed := [key for key, path in given.items() if (SPLIT in path) != in_folders]:
        has, lacks = ("path", mixed[0]) if in_folders else (mixed[0], "path")
        raise ZoetropeError(f"data.source.{lacks}: has no {SPLIT}, and data.source.{has} has; write it in both.")
    found = _Found()
    places = {
        name: {key: Path(path).resolve() for key, path in of_split(given, name).items()} for name in present(given)
    }
    by_ratio = "val" not in places
    for name, folders in places.items():
        if missing := [key for key, folder in folders.items() if key != "path" and not folder.is_dir()]:
            key = missing[0]
            raise ZoetropeError(
                f"data.source.{key}: {folders[key]} is no folder. It should hold {BESIDE[key].file} for each image of "
                "data.source.path, of the same name."
            )
        _pair(source, folders, name, by_ratio and name != "test", found, extensions_of("image", bands))
    where = f"data.source.path: {source.path}"
    layout = LAYOUT if source.masks or source.instances else ALONE
    if not found.candidates:
        first = next(iter(found.refused.items()), None)
        why = f"; {first[0]}: {first[1]}" if first else f"; there is {counted(found.others) or 'nothing'}"
        raise ZoetropeError(f"{where} holds no image with all that belongs to it{why}. It should hold {layout}.")
    masks = {}
    if task.answers == "objects":
        return _objects(source, found, by_ratio, where, layout)
    if source.masks:
        masks = {"": masks_of(source)}
    elif source.instances:
        masks = {"": foreground_of(source)}
    return Listing(
        sorted(found.candidates, key=lambda candidate: candidate.key),
        found.others,
        by_ratio,
        where,
        layout,
        own_split=f"write {SPLIT} in the paths, and have folders train and val",
        refused=found.refused,
        class_order=tuple(name for one in masks.values() for name in one.classes if name),
        masks=masks,
    )


def _objects(source: ImagesSource, found: "_Found", by_ratio: bool, where: str, layout: str) -> Listing:
    """Make objects of the instance maps, all of one class."""
    from pipeline.decode.instances import instances_as_objects, read_instances

    name = foreground_of(source).classes[1]
    assert name is not None
    candidates = []
    for one in found.candidates:
        try:
            with Path(one.members["inst.png"]).open("rb") as file:
                objects = instances_as_objects(read_instances(file.read(MAX_IMAGE_BYTES)), name)
        except (OSError, BadSample) as error:
            found.refused[one.key] = f"its instance map: {error}"
            continue
        candidates.append(replace(one, labels=(name,) if objects["classes"] else (), members={}, objects=objects))
    return Listing(
        sorted(candidates, key=lambda candidate: candidate.key),
        found.others,
        by_ratio,
        where,
        layout,
        own_split=f"write {SPLIT} in the paths, and have folders train and val",
        refused=found.refused,
        class_order=(name,),
        declared=(name,),
    )


def digest(source: ImagesSource) -> str:
    """Hash what the folders hold, by relative path, size and time of change, and what the classes' file says."""
    known = hashlib.sha256()
    given = _given(source)
    named = {key: given.get(key) for key in ("path", "masks", "instances", *(["targets"] if source.targets else []))}
    for key, path in named.items():
        for name in present(given) if path else [""]:
            known.update(f"{path and tree_digest(Path(of_split(given, name)[key]), LAYOUT)}\n".encode())
    known.update(repr(masks_of(source)).encode())
    return known.hexdigest()


def _given(source: ImagesSource) -> dict[str, str]:
    """Return the folders that the recipe names, by their keys."""
    named = {"path": source.path, **{key: getattr(source, key) for key in BESIDE}}
    return {key: path for key, path in named.items() if path is not None}


@dataclass
class _Found:
    candidates: list[Candidate] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)


def of_split(given: Mapping[str, str], split: str) -> dict[str, str]:
    """Return the paths of a split, each by the first of its names that is there; "" where `data.split` holds out."""
    spelt = {key: [path.replace(SPLIT, name) for name in SPELT.get(split, ("",))] for key, path in given.items()}
    return {key: next((path for path in paths if Path(path).exists()), paths[0]) for key, paths in spelt.items()}


def present(given: Mapping[str, str]) -> list[str]:
    """Return the splits that paths with `{split}` lead to: train and val, and test where all that it needs is there.

    Where there is a test and no val, `data.split` holds out of train. [""] for paths without `{split}`.
    """
    if not any(SPLIT in path for path in given.values()):
        return [""]
    there = [split for split in SPLITS if all(Path(path).exists() for path in of_split(given, split).values())]
    return ["train", "test"] if there == ["train", "test"] else [*NEEDED, *(["test"] if "test" in there else [])]


def _pair(
    source: ImagesSource,
    folders: dict[str, Path],
    split: str,
    is_open: bool,
    found: _Found,
    extensions: frozenset[str],
) -> None:
    """Enter the images of one split with what belongs to them, and refuse what lacks its half.

    is_open:    whether `data.split` holds out of them
    extensions: of images
    """
    suffixes = {key: getattr(source, one.suffix) for key, one in BESIDE.items()}
    beside = {
        key: _by_stem(folders[key], BESIDE[key].extensions, suffixes[key], found, folders[key] == folders["path"])
        for key in folders
        if key != "path"
    }
    companions = {folders[key] / name for key, of in beside.items() for names in of.values() for name in names}
    images = _by_stem(folders["path"], extensions, source.image_suffix, found, False)
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
        if doubled := [which for which, of in beside.items() if len(of[stem]) > 1]:
            there = ", ".join(beside[doubled[0]][stem])
            found.refused[key] = f"it has several {BESIDE[doubled[0]].what}s: {there}"
            continue
        own = "" if is_open else split
        paths = {which: str(folders[which] / of[stem][0]) for which, of in beside.items()}
        members = {"inst.png": paths["instances"]} if "instances" in paths else {}
        if paths.keys() & {"masks", "instances"}:
            members["seg.png"] = paths.get("masks") or paths["instances"]
        if "targets" in paths:
            members["target.png"] = paths["targets"]
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
    what, key, extensions = BESIDE[which]
    ending = ".png" if extensions == PNG else ".*"
    words = f"it has no {what}: there is no {folder / stem}{suffix}{ending}"
    longer = next((other for other in there if other.startswith(stem)), None)
    return words + (
        f"; is {longer}{suffix}{ending} it? Then data.source.{key}={longer[len(stem) :]}{suffix}" if longer else ""
    )
