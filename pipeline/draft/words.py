"""What was found in a data set, in lines for a terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from pipeline.draft.doubles import Doubles
from pipeline.draft.look import Look
from pipeline.draft.recipe import uneven
from pipeline.draft.suspects import TINY_PX
from pipeline.sources.kinds import counted
from pipeline.sources.listing import Candidate, splits_in
from pipeline.sources.summary import LONGEST, of_missing

SHOWN = 20
"""Classes that are listed."""
FEW = 10
"""Fewer training samples of a class are said."""


def facts(look: Look) -> list[tuple[str, str]]:
    """Return what the data is, each fact with its name."""
    counts = Counter(one.split for one in look.listing.candidates)
    of = f" in the first of {look.tars:,} tars" if look.tars > 1 else ""
    found = [
        ("task", f"{look.task.kind}: {look.guess.words}"),
        ("samples", ", ".join(f"{counts[split]:,} {split}" for split in splits_in(counts)) + of),
        *([("classes", _classes(look))] if look.listing.classes() else []),
    ]
    if look.rows:
        looked = len(look.rows) + len(look.bad)
        found.append(("sizes", f"{_sizes(look)}; headers of {looked:,} of {len(look.listing.candidates):,} were read"))
    if look.task.modality == "video" and look.rows:
        found.append(("frames", _frames(look)))
    if look.split:
        of = " of each class" if look.split.get("stratify") else ""
        found.append(("val", f"nothing says what is held out: {look.split['val']:.0%}{of}, by data.split"))
    return found


def _classes(look: Look) -> str:
    """Name the classes in the order of their numbers, with their samples of train and val."""
    names = look.listing.classes()
    counts = Counter((one.split, name) for one in look.listing.candidates for name in one.labels)
    splits = splits_in({one.split for one in look.listing.candidates})
    amounts = _pixels(look) if look.listing.masks else {}
    shown = []
    for name in names[:SHOWN]:
        if look.listing.masks:
            how = f" {amounts[name]:.1%}" if name in amounts else ""
        else:
            how = " " + "+".join(str(counts[split, name]) for split in splits)
        shown.append((name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}...") + how)
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    what = "share of the pixels" if look.listing.masks else "+".join(splits)
    return f"{len(names):,}, in this order ({what}): {', '.join(shown)}{more}"


def _pixels(look: Look) -> dict[str, float]:
    """Return the share of each class of the pixels that count, in the masks that were looked at."""
    found: Counter[str] = Counter()
    masks = look.listing.masks[""]
    for row in look.rows:
        for value, pixels in row.get("values", {}).items():
            if (value in masks.values.of or masks.values.rest is not None) and (name := masks.name(value)):
                found[name] += pixels
    return {name: pixels / found.total() for name, pixels in found.items()}


def _sizes(look: Look) -> str:
    sizes = [(row["width"], row["height"]) for row in look.rows]
    if len(set(sizes)) == 1:
        return f"all {sizes[0][0]} x {sizes[0][1]} px"
    smallest, largest = (pick(sizes, key=lambda size: size[0] * size[1]) for pick in (min, max))
    return (
        f"median {look.median('width'):.0f} x {look.median('height'):.0f} px, from {smallest[0]} x {smallest[1]} to "
        f"{largest[0]} x {largest[1]}"
    )


def _frames(look: Look) -> str:
    return ", ".join(
        f"{what} {_span([row[key] for row in look.rows])}"  # type: ignore[literal-required]
        for key, what in (("frames", "frames"), ("fps", "frames a second"), ("duration_s", "seconds"))
    )


def _span(values: Sequence[float]) -> str:
    known = [value for value in values if value]  # a header need not promise any
    if not known:
        return "not told by the headers"
    least, most = min(known), max(known)
    return f"{least:g}" if least == most else f"{least:.4g} to {most:.4g}"


def warnings(
    look: Look, doubles: Doubles, empty: Sequence[str], odd: Sequence[tuple[str, str]], small: Sequence[str]
) -> list[str]:
    """Return what a user should look at, a sentence each."""
    found = [*look.guess.notes, *look.notes, *look.listing.notes]
    if others := look.listing.others:
        found.append(f"files passed over: {counted(others)}")
    if look.lost:
        lost = ", ".join(f"{name!r} ({what})" for name, what in look.lost.items())
        found.append(f"classes of which nothing can be used are left out by data.classes.keep: {lost}")
    found += of_missing(look.listing.missing)
    if look.listing.refused:
        key, why = next(iter(look.listing.refused.items()))
        found.append(f"{len(look.listing.refused):,} cannot be used, such as {key}: {why}")
    if empty:
        found.append(f"{_files(empty)} no bytes")
    if broken := [row for row in look.bad if row["source"] not in empty]:
        keys = [row["source"] for row in broken]
        found.append(f"{_files(keys)} a content that cannot be read: {broken[0]['reason']}")
    for what in sorted({what for _, what in odd}):
        keys = [key for key, kind in odd if kind == what]
        suffix = PurePosixPath(keys[0]).suffix
        found.append(f"{_files(keys)} the content of a {what} and the extension {suffix}; the content counts")
    if small:
        found.append(f"{_files(small)} a shorter side below {TINY_PX} px")
    return found + _class_warnings(look) + _doubled(doubles, look.listing.held_out_by_ratio)


def _files(keys: Sequence[str]) -> str:
    return f"{keys[0]} has" if len(keys) == 1 else f"{len(keys):,} files, such as {keys[0]}, have"


def _class_warnings(look: Look) -> list[str]:
    counts = Counter((one.split, name) for one in look.listing.candidates for name in one.labels)
    names = {name for _, name in counts}
    found = []
    for split, what in (("train", "in val alone, so not learned"), ("val", "in train alone, so not measured")):
        if absent := [name for name in look.listing.classes() if name in names and not counts[split, name]]:
            found.append(f"{_some(absent)}: {what}")
    if words := uneven(look):
        found.append(f"the classes are uneven: {words}; the recipe has lines for that, as comments")
    few = [name for name in look.listing.classes() if 0 < counts["train", name] < FEW]
    if few:
        found.append(f"fewer than {FEW} training samples: {_some(few)}")
    return found


def _doubled(doubles: Doubles, by_ratio: bool) -> list[str]:
    found = []
    if doubles.across:
        cure = "keep one of each" if by_ratio else "take them out of one of the two"
        found.append(
            f"{len(doubles.across):,} contents are in two splits, such as {_pair(doubles.across[0])}: the score will "
            f"be too good; {cure}"
        )
    if doubles.torn:
        found.append(f"{len(doubles.torn):,} contents have two labels, such as {_pair(doubles.torn[0])}")
    if not doubles.whole:
        found.append("not all files were compared with each other: there are many of one size")
    return found


def _pair(same: Sequence[Candidate]) -> str:
    first = same[0]
    other = next((one for one in same if (one.split, one.labels) != (first.split, first.labels)), same[1])
    return f"{first.key} and {other.key}"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5:,} more" if every[5:] else "")
