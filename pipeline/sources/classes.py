"""From the labels that a source gives to the classes of a run: spellings of one number, and `data.classes`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.decode.limits import BadSample
from pipeline.graph.plan import some
from pipeline.recipe.schema import Classes
from pipeline.sources.labels import class_name, meaning, spellings
from pipeline.sources.listing import Candidate, Listing, Masks
from pipeline.sources.things import renamed as renamed_objects

Naming = Mapping[str, str | None]
"""Each label -> its class; None for one that is left out."""
LEFT_OUT = "of classes that data.classes.keep leaves out"


def naming(labels: Iterable[str], asked: Classes) -> Naming:
    """Return what each label is called in the end. ZoetropeError for a wish that names no class, or names one twice.

    `rename` and `merge` are of the source's names, `keep` of those that come out.
    """
    spelt = spellings(labels)
    known = {meaning(name): name for name in spelt.values()}
    new: dict[str, str] = {}
    for key, target, old in (
        *(("rename", target, old) for old, target in asked.rename.items()),
        *(("merge", target, old) for target, several in asked.merge.items() for old in several),
    ):
        name = _known(old, known, key)
        if name in new:
            raise ZoetropeError(f"data.classes.{key}: the class {name!r} stands in it or in data.classes.rename twice.")
        new[name] = _name(target, key)
    last = {name: new.get(name, name) for name in known.values()}
    for old, target in asked.rename.items():
        if (same := [name for name in last if last[name] == _name(target, "rename")])[1:]:
            raise ZoetropeError(
                f"data.classes.rename: {old!r} cannot be called {target!r}, as another class is. To make one class of "
                f"them: data.classes.merge={{{target}: [{', '.join(same)}]}}."
            )
    if asked.keep is None:
        return {label: last[name] for label, name in spelt.items()}
    there = {meaning(name): name for name in last.values()}
    kept = {_known(name, there, "keep") for name in asked.keep}
    return {label: last[name] if last[name] in kept else None for label, name in spelt.items()}


def renamed(labels: Iterable[str], names: Naming, label_sets: bool) -> tuple[str, ...] | None:
    """Return a sample's classes by its labels, sorted; None for a sample that is left out.

    In a multi-label task and of objects a class that is left out is no question any more, and its samples stay.
    """
    classes = {name for label in labels if (name := names[label]) is not None}
    return tuple(sorted(classes)) if classes or label_sets else None


def resolve_classes(listing: Listing, asked: Classes, label_sets: bool) -> Listing:
    """Return the listing with its classes in place of its labels. ZoetropeError for wrong wishes and for a class that
    is lost.

    A class is lost when the source has it and nothing of it can be used.
    """
    occurring = {label for candidate in listing.candidates for label in candidate.labels}
    names = naming(occurring | listing.lost.keys() | listing.mask_classes | {*listing.declared}, asked)
    candidates: list[Candidate] = []
    others = Counter(listing.others)
    for candidate in listing.candidates:
        classes = renamed(candidate.labels, names, label_sets)
        if classes is None:
            others[LEFT_OUT] += 1
        else:
            candidates.append(_with_classes(candidate, classes, names))
    check_lost(listing.where, listing.lost, names, occurring)
    order = tuple(name for label in listing.class_order if (name := names.get(label)) is not None)
    return replace(
        listing,
        candidates=candidates,
        others=others,
        class_order=order,
        lost={},
        notes=(*listing.notes, *notes(names)),
        masks=named_masks(listing.masks, names),
        declared=tuple(dict.fromkeys(name for label in listing.declared if (name := names[label]) is not None)),
    )


def _with_classes(candidate: Candidate, classes: tuple[str, ...], names: Naming) -> Candidate:
    """Return a candidate with its classes in place of its labels, and so its objects."""
    objects = candidate.objects
    if objects is not None and any(names[name] != name for name in objects["classes"]):
        objects = renamed_objects(objects, names)
    if classes == candidate.labels and objects is candidate.objects:
        return candidate
    return replace(candidate, labels=classes, objects=objects)


def named_masks(masks: Mapping[str, Masks], names: Naming) -> dict[str, Masks]:
    """Masks with classes in place of their labels; the pixels of a class that is left out do not count."""
    return {
        source: replace(one, classes=tuple(None if name is None else names[name] for name in one.classes))
        for source, one in masks.items()
    }


def check_lost(where: str, lost: Mapping[str, str], names: Naming, occurring: Iterable[str]) -> None:
    """Raise ZoetropeError for a class that only labels of `lost` have, which say in words what there is of it."""
    there = {names[label] for label in occurring}
    if gone := [label for label in sorted(lost) if names[label] not in {*there, None}]:
        which = some([repr(name) for name in gone])
        raise ZoetropeError(
            f"{where}: nothing of class {which} can be used; of {gone[0]!r} there is {lost[gone[0]]}. "
            "Mend that, move what is no class elsewhere, or name the classes that count in data.classes.keep."
        )


def notes(names: Iterable[str]) -> list[str]:
    """Tell which labels are one class for being one number."""
    found: dict[object, list[str]] = {}
    for label in sorted(names):
        found.setdefault(meaning(label), []).append(repr(label))
    return [f"the labels {', '.join(same)} are one number, and one class" for same in found.values() if same[1:]]


def _known(name: str, known: Mapping[Decimal | str, str], key: str) -> str:
    found = known.get(meaning(_name(name, key)))
    if found is None:
        raise ZoetropeError(f"data.classes.{key}: {unknown('class', name, known.values())}")
    return found


def _name(name: str, key: str) -> str:
    try:
        return class_name(name)
    except BadSample as error:
        raise ZoetropeError(f"data.classes.{key}: {name!r} is no name of a class: {error.reason}.") from error
