"""Pascal VOC's annotations: an XML file an image, and lists of the images of each split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.decode.objects import DIFFICULT, PLAIN
from pipeline.recipe.object_sources import VocSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.annotated import text
from pipeline.sources.images import SPLIT, of_split, present
from pipeline.sources.listing import Listing
from pipeline.sources.pictures import Found, beside, digest_of, finite, known_name, listed_names, pictures, read_one
from pipeline.sources.safe_xml import parse_xml
from pipeline.sources.things import Thing, objects_of

LAYOUT = "images, and in data.source.annotations an XML file of the same name for each"
EDGES = ("xmin", "ymin", "xmax", "ymax")


class Said(NamedTuple):
    """What a file says: size in px where it says one, objects with numbers as they stand, and whether it is VOC's."""

    size: tuple[int, int] | None
    things: list[Thing]
    is_vocs: bool


@dataclass(frozen=True)
class _Picture:
    key: str
    path: Path
    split: str
    said: Said


def look(source: VocSource, task: TaskSection, split: Split) -> Listing:
    """List the images that have an XML file. ZoetropeError where there is none."""
    found = Found(listed_names(source.classes))
    given = {"path": source.path, "annotations": source.annotations} | ({"sets": source.sets} if source.sets else {})
    if SPLIT in source.path and SPLIT not in source.annotations and not source.sets:
        raise ZoetropeError(f"data.source.annotations: has no {SPLIT}, and data.source.path has; write it in both.")
    parts = present(given)
    by_ratio = "val" not in parts
    read: list[_Picture] = []
    listed: dict[str, str] = {}
    walked: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        at = of_split(given, part)
        prefix = f"{part}/" if SPLIT in source.path else ""
        own = "" if by_ratio and part != "test" else part
        if at["path"] not in walked:
            walked[at["path"]] = pictures(Path(at["path"]).resolve(), LAYOUT, found.others, (".xml",))
        for key, path, notes in _pairs(at, walked[at["path"]], prefix, found):
            if (before := listed.setdefault(key, part)) != part:
                raise ZoetropeError(
                    f"data.source.sets: {key} is listed for {before} and for {part}; list it for one of them."
                )
            try:
                read.append(_Picture(key, path, own, said_in(read_one(notes), found.classes)))
            except BadSample as error:
                found.refused[key] = error.reason
    first_pixel = source.first_pixel if source.first_pixel is not None else _guess(read, found)
    for one in read:
        things = [shifted(thing, first_pixel) for thing in one.said.things]
        found.enter(one.key, one.path, one.split, objects_of(things, one.said.size))
    return found.listing(source.path, by_ratio, LAYOUT, f"write {SPLIT} in data.source.sets, for the lists of VOC")


def digest(source: VocSource) -> str:
    """Hash what the folders hold by size and time of change, and the lists and names by content."""
    given = {"path": source.path, "annotations": source.annotations} | ({"sets": source.sets} if source.sets else {})
    places = [of_split(given, part) for part in present(given)]
    folders = dict.fromkeys(at[key] for at in places for key in ("path", "annotations"))
    files = [at["sets"] for at in places if "sets" in at]
    names = [source.classes] if isinstance(source.classes, str) else []
    return digest_of(folders, [*files, *names], lambda path: text(path).encode(), LAYOUT)


def _pairs(
    at: Mapping[str, str], there: Mapping[str, list[str]], prefix: str, found: Found
) -> Iterable[tuple[str, Path, Path]]:
    """Yield key, picture and XML file of one split, and count or refuse what has no other half.

    there: the pictures below `path`, as `pictures` maps them
    """
    folder, notes = Path(at["path"]).resolve(), Path(at["annotations"]).resolve()
    files = beside(notes, ".xml", LAYOUT)
    wanted = listed_in(Path(at["sets"])) if "sets" in at else dict.fromkeys([*there, *files])
    for stem in wanted:
        names = there.get(stem, [])
        if len(names) == 1 and stem in files:
            yield prefix + names[0], folder / names[0], notes / files[stem]
        elif len(names) > 1:
            found.refused |= {prefix + name: f"it and others have one name: {', '.join(names)}" for name in names}
        elif names and "sets" not in at:
            found.others["images without an XML file"] += 1
        elif names:
            found.refused[prefix + names[0]] = f"it has no XML file {notes / stem}.xml"
        else:
            found.refused[prefix + (files.get(stem) or stem)] = f"it has no image: {folder} holds no {stem}.*"


def listed_in(path: Path) -> dict[str, None]:
    """Return the names in a list of images: the first word of each line; behind it, VOC has 1, 0 or -1 of a class."""
    lines = [line.split() for line in text(path).splitlines() if line.strip()]
    if not lines:
        raise ZoetropeError(f"data.source.sets: {path} lists no image.")
    return dict.fromkeys(words[0] for words in lines)


def said_in(content: bytes, classes: Mapping[str, None]) -> Said:
    """Read an XML file. BadSample for one that is none, or an object of none of the `classes`, where there are any."""
    root = parse_xml(content)
    if root.tag != "annotation":
        raise BadSample(f"its XML is <{root.tag}>, and VOC's is <annotation>")
    width, height = (int(finite(root.findtext(f"size/{side}") or 0, side)) for side in ("width", "height"))
    origin = f"{root.findtext('source/database') or ''} {root.findtext('source/annotation') or ''}".upper()
    things = [_thing(one, classes) for one in root.findall("object")]
    return Said((width, height) if width > 0 and height > 0 else None, things, "VOC" in origin)


def _thing(one: Element, classes: Mapping[str, None]) -> Thing:
    box = one.find("bndbox")
    if box is None:
        raise BadSample("an object of it has no bndbox")
    x0, y0, x1, y1 = (finite(box.findtext(edge), edge) for edge in EDGES)
    is_difficult = (one.findtext("difficult") or "0").strip() == "1"
    name = known_name(one.findtext("name"), classes)
    return Thing(name, (x0, y0, x1, y1), DIFFICULT if is_difficult else PLAIN)


def shifted(thing: Thing, first_pixel: int) -> Thing:
    """Return the object with edges from 0.

    Of pixels that count from 1, the last one included, these are x0 - 1, y0 - 1, x1, y1.
    """
    x0, y0, x1, y1 = thing.box
    return thing._replace(box=(x0 - first_pixel, y0 - first_pixel, x1, y1))


def _guess(read: Iterable[_Picture], found: Found) -> int:
    """Return how pixels are counted, and note it: from 0 where a box begins there, or nothing says that it is VOC's."""
    boxes = [(one, thing.box) for one in read for thing in one.said.things]
    at_zero = next((one.key for one, box in boxes if min(box[:2]) < 1), None)
    vocs = any(one.said.is_vocs for one in read)
    first = int(vocs and at_zero is None)
    why = (
        "the files say that they are VOC's"
        if first
        else f"a box of {at_zero} begins at 0"
        if at_zero
        else "nothing in the files says that they are VOC's own"
    )
    found.notes.append(f"pixels of boxes are counted from {first}, as {why}; data.source.first_pixel says it otherwise")
    return first
