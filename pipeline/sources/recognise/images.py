"""Pictures with a mask each, in folders beside each other or in one."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.sources.images import SPLIT
from pipeline.sources.listing import NEEDED, SPELT, SPLIT_OF
from pipeline.sources.recognise.tree import Guess, Tree, common_start, is_split

MASKED = re.compile(r"mask|label|annot|seg|ground|truth|(^|[^a-z])gt|instance", re.IGNORECASE)
"""What folders of masks are called."""
INSTANCES = re.compile(r"instance|(^|[^a-z])inst", re.IGNORECASE)
FEWEST = 0.5
"""Share of the masks that must have a picture, and of the pictures that must have a mask."""
_END = re.compile(r"[_.-][A-Za-z][A-Za-z0-9_.-]*$")


@dataclass(frozen=True)
class _Side:
    """Files below a folder: their paths below it, without extension and the end that all share."""

    root: str
    suffix: str
    stems: frozenset[str]


def recognise(tree: Tree) -> Guess | None:
    """Take a folder called as masks are, whose PNGs have the names of the pictures in another one; or such pairs in one
    folder.
    """
    masks = _sides(name for name in tree.named(".png") if MASKED.search(name.rpartition("/")[0]))
    pictures = _sides(name for name in tree.images if not MASKED.search(name.rpartition("/")[0])) if masks else []
    pairs = [pair for mask in masks if (pair := _best(mask, pictures))] or _in_one_folder(tree)
    if not pairs:
        return None
    source: dict[str, str] = {"kind": "images"}
    chosen = [pair for pair in pairs if not INSTANCES.search(pair[1].root)] or pairs
    picture, mask = chosen[0]
    key = "instances" if INSTANCES.search(mask.root + mask.suffix) else "masks"
    split = _by_split(chosen)
    for ours, side in (("path", picture), (key, mask)):
        source[ours] = tree.path(_pattern(side.root) if split == "above" else side.root)
        source[ours] += f"/{SPLIT}" if split == "below" else ""
    for ours, side in (("image_suffix", picture), (f"{key.removesuffix('s')}_suffix", mask)):
        source |= {ours: side.suffix} if side.suffix else {}
    what = "an instance map" if key == "instances" else "a mask"
    folders = f"{picture.root or '.'}/ and {mask.root}/" if picture.root != mask.root else "one folder"
    lacking = len({(of.root, stem) for image, of in chosen for stem in image.stems - of.stems if not _unused(stem)})
    notes = (f"{lacking:,} pictures have no {what.partition(' ')[2]}: they are left out",) if lacking else ()
    return Guess("segmentation", source, f"pictures with {what} each, in {folders}", notes)


def _in_one_folder(tree: Tree) -> list[tuple[_Side, _Side]]:
    """Return pictures and masks that differ in their extension, `1.jpg` and `1.png`, or in how masks end, `1_mask.png`.

    At most one pair; nothing where too few pictures have a mask.
    """
    pngs = {name.rpartition(".")[0] for name in tree.named(".png")}
    others = {stem for name in tree.images if (stem := name.rpartition(".")[0]) != name and not name.endswith(".png")}
    found = [("", pngs & others)]
    ends = Counter(end for stem in pngs for end in _ends(stem) if stem.removesuffix(end) in pngs | others)
    found += [(end, {stem.removesuffix(end) for stem in pngs if stem.endswith(end)}) for end, _ in ends.most_common(1)]
    end, masked = max(found, key=lambda one: len(one[1]))
    pictures = (others or pngs) - {stem + end for stem in masked if end}
    both = len(masked & pictures)
    if both <= FEWEST * len(masked) or both <= FEWEST * len(pictures):
        return []
    return [(_Side("", "", frozenset(pictures)), _Side("", end, frozenset(masked)))]


def _ends(stem: str) -> list[str]:
    """Return the ends of a name that say that it is a mask: of "a_gtFine_labelIds" `_gtFine_labelIds`, `_labelIds`."""
    name = stem.rpartition("/")[2]
    ends = [name[match.start() :] for match in re.finditer(r"[_.-](?=[A-Za-z])", name) if match.start()]
    return [end for end in ends if MASKED.search(end)]


def _sides(names: Iterable[str]) -> list[_Side]:
    """Take the files of each folder, of all that lie below it; the outermost folders first."""
    below: dict[str, list[str]] = {}
    for name in names:
        parts = name.split("/")
        for depth in range(len(parts)):
            below.setdefault("/".join(parts[:depth]), []).append("/".join(parts[depth:]).rpartition(".")[0])
    found = []
    for root, stems in below.items():
        end = _shared_end(stems)
        found.append(_Side(root, end, frozenset(stem.removesuffix(end) for stem in stems)))
    return sorted(found, key=lambda side: (side.root.count("/") + bool(side.root), side.root))


def _shared_end(stems: list[str]) -> str:
    """Return how all names end, from a `_`, `-` or `.` on: "_mask"; "" for a single name, of which nobody knows."""
    if len(stems) < 2:
        return ""
    found = _END.search(common_start([stem[::-1] for stem in stems])[::-1])
    return found[0] if found else ""


def _best(mask: _Side, pictures: list[_Side]) -> tuple[_Side, _Side] | None:
    """Return the pictures that these masks are of; None where too few have one."""
    if not MASKED.search(mask.root):
        return None
    shared = [(len(mask.stems & one.stems), len(common_start([mask.root, one.root])), one) for one in pictures]
    both, _, picture = max(shared, key=lambda one: one[:2], default=(0, 0, mask))
    if both > FEWEST * len(mask.stems) and both > FEWEST * len(picture.stems):
        return picture, mask
    return None


def _by_split(pairs: list[tuple[_Side, _Side]]) -> str:
    """Tell where the split stands in the paths: "below" the folders, "above" (in their names), or nowhere, ""."""
    (picture, mask), *others = pairs
    tops = {stem.partition("/")[0].lower() for stem in picture.stems}
    if all("/" in stem for stem in picture.stems) and all(map(is_split, tops)):
        splits = {SPLIT_OF[top] for top in tops}
        return "below" if splits >= set(NEEDED) else ""
    patterns = _patterns(picture, mask)
    in_both = all(SPLIT in pattern for pattern in patterns)
    return "above" if in_both and any(_patterns(*pair) == patterns for pair in others) else ""


def _unused(stem: str) -> bool:
    """Tell whether a picture lies in a split that is neither trained on nor validated with."""
    top = stem.partition("/")[0].lower()
    return "/" in stem and SPLIT_OF.get(top, "train") not in NEEDED


def _patterns(picture: _Side, mask: _Side) -> tuple[str, str]:
    return _pattern(picture.root), _pattern(mask.root)


def _found(name: str, root: str) -> re.Match[str] | None:
    return re.search(rf"(?<![a-z]){name}(?=annot|mask|label|$|/|_)", root)


def _pattern(root: str) -> str:
    """Write {split} for the split in a folder's path: "train/masks" and "trainannot" are "{split}/masks" and ..."""
    for names in SPELT.values():
        for name in sorted(names, key=len, reverse=True):
            if match := _found(name, root):
                return f"{root[: match.start()]}{SPLIT}{root[match.end() :]}"
    return root
