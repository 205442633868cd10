"""What a source holds, in a few lines: for the plan, while ingest runs, and in its artifact."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.sources.kinds import counted
from pipeline.sources.listing import Listing, splits_in

SHOWN = 8
MOST_LINES = 100
LONGEST = 40
"""Characters of a class's name that are shown."""


def of_listing(listing: Listing) -> list[str]:
    """Return all lines of what is known by names alone."""
    samples = [(candidate.split, candidate.labels) for candidate in listing.candidates]
    classes = listing.classes()
    data = of_samples(samples, classes) if not listing.masks else of_masks(samples, classes)
    return [data, *of_others(listing), *of_refused(listing.refused)]


def of_samples(samples: Sequence[tuple[str, Iterable[str]]], classes: Sequence[str]) -> str:
    """Count how many samples there are, and of the first classes: "data: 969 train, 231 val, 2
    classes: a 500+131, ...".
    """
    splits = Counter(split for split, _ in samples)
    counts = Counter((split, name) for split, names in samples for name in names)
    shown = [
        f"{_short(name)} {'+'.join(str(counts[split, name]) for split in splits_in(splits))}"
        for name in classes[:SHOWN]
    ]
    more = f" and {len(classes) - SHOWN:,} more" if len(classes) > SHOWN else ""
    sizes = ", ".join(f"{splits[split]:,} {split}" for split in splits_in(splits))
    return f"data: {sizes}" + (f", {len(classes):,} classes: {', '.join(shown)}{more}" if classes else "")


def of_classes(objects: Mapping[tuple[str, str], int], classes: Sequence[str]) -> list[str]:
    """Write a line a class in the order of their numbers: its objects in each split, of counts by (split, class)."""
    splits = splits_in({split for split, _ in objects})
    lines = [
        f"class {number} {_short(name)}: {', '.join(f'{objects.get((split, name), 0):,} {split}' for split in splits)}"
        for number, name in enumerate(classes[:MOST_LINES])
    ]
    return lines + ([f"and {len(classes) - MOST_LINES:,} classes more"] if len(classes) > MOST_LINES else [])


def of_objects(objects: Mapping[tuple[str, str], int], most: int) -> str:
    """Count the objects of each split: "objects: 2,805 train, 1,138 val, at most 30 in a picture"."""
    splits = splits_in({split for split, _ in objects})
    counts = [f"{sum(n for (of, _), n in objects.items() if of == split):,} {split}" for split in splits]
    return f"objects: {', '.join(counts)}, at most {most:,} in a picture"


def of_masks(samples: Sequence[tuple[str, Iterable[str]]], classes: Sequence[str]) -> str:
    """Say how many samples there are, and the first classes, of which masks that are not decoded yet say nothing."""
    splits = Counter(split for split, _ in samples)
    sizes = ", ".join(f"{splits[split]:,} {split}" for split in splits_in(splits))
    if not classes:
        return f"data: {sizes}; data.source.classes is not set: ingest says which values the masks have"
    more = f" and {len(classes) - SHOWN:,} more" if len(classes) > SHOWN else ""
    return f"data: {sizes}, {len(classes):,} classes: {', '.join(map(_short, classes[:SHOWN]))}{more}"


def of_values(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how many values masks have, of how many classes, and which share of the pixels does not count."""
    if not rows:
        return []
    total, ignored = sum(row["pixels"] for row in rows), sum(row["pixels"] for row in rows if row["name"] is None)
    return [f"masks: {len(rows):,} values, {ignored / total:.2%} of the pixels do not count; values.jsonl has each one"]


def of_others(listing: Listing) -> list[str]:
    """Return what is not used of the source, and not for being bad."""
    found = list(listing.notes)
    if listing.others:
        found.append(f"files passed over: {counted(listing.others)}")
    found += [f"{line}; ingest lists all in missing.txt" for line in of_missing(listing.missing)]
    if (
        not listing.masks
        and listing.classes()
        and (unlabelled := sum(not candidate.labels for candidate in listing.candidates))
    ):
        has_objects = any(candidate.objects is not None for candidate in listing.candidates)
        found.append(f"{unlabelled:,} {'pictures show no object' if has_objects else 'samples have no label at all'}")
    return found


def of_missing(missing: Sequence[str]) -> list[str]:
    """Count how many videos are named and not there, with the first one's name."""
    first = next(iter(missing), None)
    return [f"missing are {len(missing):,} of the videos that the annotations name, such as {first}"] if first else []


def of_refused(refused: Mapping[str, str]) -> list[str]:
    """Count how many samples cannot be used, with the first one's reason."""
    first = next(iter(refused.items()), None)
    return [f"refused: {len(refused):,}, such as {first[0]}: {first[1]}"] if first else []


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
