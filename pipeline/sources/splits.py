"""Which samples are held out where the source leaves it open, as `data.split` says.

Shares alone go by a hash of each path: nothing moves when files are added. Groups, equal shares of each class and folds
are counted off in the order of the same hashes: then those next to a border may move.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import seed64
from pipeline.recipe.split import Split
from pipeline.sources.listing import Candidate, Listing

FULL = 2**63
"""What hashes are less than."""
HALF = 0.5
"""Of a sample: shares of a class are rounded."""
NEAR = 0.5
"""By how much of a share whole groups may miss it."""


@dataclass(slots=True)
class _Unit:
    """What is held out as one: its hash, its name, how much of each stratum it has, and its samples' places."""

    place: int
    name: str
    counts: Counter[str] = field(default_factory=Counter)
    samples: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.samples)


def divide(listing: Listing, split: Split) -> Listing:
    """Give each sample whose split is open its own. ZoetropeError for what the samples do not allow."""
    open_ones = {i: one for i, one in enumerate(listing.candidates) if not one.split}
    _check_own(listing, split, [*open_ones.values()])
    if not open_ones:
        return listing
    names = _names(open_ones, split)
    if split.group is None and not split.stratify and split.folds is None:
        chosen = {i: _by_share(seed64("split", name), split) for i, name in names.items()}
    else:
        chosen = _counted_off(_units(open_ones, names, split), split)
    candidates = [one if one.split else replace(one, split=chosen[i]) for i, one in enumerate(listing.candidates)]
    return replace(listing, candidates=candidates)


def known_test(listing: Listing) -> Listing:
    """Return the listing without a test split that has none of the classes of the others, as a folder of what is to be
    told: `test/unknown/1.jpg`.
    """
    known = {label for one in listing.candidates if one.split != "test" for label in one.labels}
    tested = [one for one in listing.candidates if one.split == "test"]
    if not tested or not known.isdisjoint(label for one in tested for label in one.labels):
        return listing
    others = listing.others + Counter({"in test, of no class of train": len(tested)})
    return replace(listing, candidates=[one for one in listing.candidates if one.split != "test"], others=others)


def _check_own(listing: Listing, split: Split, open_ones: Sequence[Candidate]) -> None:
    """Raise where the recipe asks for what the source says itself."""
    if split.asked and not open_ones:
        raise ZoetropeError(
            f"data.split.{split.asked[0]}: {listing.where} says itself what is held out, so there is nothing to split. "
            f"Leave {split.asked[0]} out, or name a source without splits."
        )
    tested = {one.source for one in listing.candidates if one.split == "test"}
    if split.test and tested & {one.source for one in open_ones}:
        raise ZoetropeError(
            f"data.split.test: {listing.where} has a test split of its own. Leave data.split.test out, or move that "
            "split elsewhere."
        )


def _names(open_ones: Mapping[int, Candidate], split: Split) -> dict[int, str]:
    """Return what each sample is drawn by: its group, its file, or its path. ZoetropeError where it has no group."""
    if split.pattern is None:
        return {i: one.unit or one.key for i, one in open_ones.items()}
    found = {i: split.pattern.search(one.key) for i, one in open_ones.items()}
    names = {i: match[1] for i, match in found.items() if match and match[1] is not None}
    if lacking := [open_ones[i].key for i in found if i not in names]:
        raise ZoetropeError(
            f"data.split.group: {split.group!r} finds no group in {len(lacking):,} of {len(found):,} paths, such as "
            f"{lacking[0]!r}. Let it fit all of them."
        )
    return names


def _by_share(place: int, split: Split) -> str:
    """Return the split of a hash: `val` has the lowest ones, `test` the highest, whatever the share of the other."""
    if place < split.val * FULL:
        return "val"
    return "test" if split.test and place >= (1 - split.test) * FULL else "train"


def _units(open_ones: Mapping[int, Candidate], names: Mapping[int, str], split: Split) -> list[_Unit]:
    """Return what is held out as one, in the order of the hashes.

    Files of one path in two sources of a mixture are two, and a group is one in all of them.
    """
    strata = _strata(open_ones) if split.stratify else dict.fromkeys(open_ones, "")
    units: dict[tuple[str, str], _Unit] = {}
    for i, one in open_ones.items():
        which = ("" if split.group is not None else one.source or "", names[i])
        unit = units.setdefault(which, _Unit(seed64("split", names[i]), names[i]))
        unit.counts[strata[i]] += 1
        unit.samples.append(i)
    return [units[which] for which in sorted(units, key=lambda which: (units[which].place, which))]


def _strata(open_ones: Mapping[int, Candidate]) -> dict[int, str]:
    """Return the class by which each sample counts: the rarest of its own; "" where it has none."""
    frequent = Counter(label for one in open_ones.values() for label in one.labels)
    return {i: min(one.labels, key=lambda label: (frequent[label], label), default="") for i, one in open_ones.items()}


def _counted_off(units: list[_Unit], split: Split) -> dict[int, str]:
    """Return the split of each sample: the last units are `test`, the first ones of the others `val`, or a fold is."""
    if split.group is not None and len(units) < 2:
        raise ZoetropeError(
            f"data.split.group: all samples are of one group, {units[0].name!r}, so none can be held out. Let "
            "data.split.group tell them apart."
        )
    total = _total(units)
    chosen = {i: "train" for unit in units for i in unit.samples}
    left = units
    if split.test:
        tested = _taken(units[::-1], {name: split.test * count for name, count in total.items()}, 2)
        _check_share(units, tested, "test", split)
        chosen |= {i: "test" for unit in tested for i in unit.samples}
        left = [unit for unit in units if chosen[unit.samples[0]] == "train"]
    if split.folds:
        _check_folds(left, split.folds, split)
        held = [unit for unit, fold in zip(left, _folds(left, split), strict=True) if fold == split.fold]
    else:
        held = _taken(left, {name: split.val * count for name, count in total.items()}, 1)
        _check_share(units, held, "val", split)
    return chosen | {i: "val" for unit in held for i in unit.samples}


def _total(units: Iterable[_Unit]) -> Counter[str]:
    total = Counter[str]()
    for unit in units:
        total.update(unit.counts)
    return total


def _taken(units: Sequence[_Unit], wanted: Mapping[str, float], others: int) -> list[_Unit]:
    """Take units, the first ones first, that fit into what is wanted of each stratum; then those that bring it nearer.

    Of a stratum at least 1 sample is taken, and 1 is left for each of the `others`.
    """
    goal = {name: max(0.0, min(max(wanted[name], 1.0), count - others)) for name, count in _total(units).items()}
    have = Counter[str]()
    taken: dict[int, _Unit] = {}

    def fits(unit: _Unit) -> bool:
        return all(have[name] + count < goal[name] + HALF for name, count in unit.counts.items())

    def helps(unit: _Unit) -> bool:
        """Tell whether it makes the squares of what is lacking smaller, each as a share of what is wanted."""
        lacking = ((count * (count + 2 * (have[name] - goal[name])), goal[name]) for name, count in unit.counts.items())
        return sum(change / max(wish, 1.0) for change, wish in lacking) < 0

    for good in (fits, helps):
        for i, unit in enumerate(units):
            if i not in taken and good(unit):
                taken[i] = unit
                have.update(unit.counts)
    return [*taken.values()]


def _folds(units: Sequence[_Unit], split: Split) -> list[int]:
    """Return the fold of each unit: equal parts of each stratum, to a sample where units are single samples."""
    assert split.folds is not None
    if split.group is None and all(unit.size == 1 for unit in units):
        return _blocks(units, split.folds)
    have, sizes = [Counter[str]() for _ in range(split.folds)], [0] * split.folds
    total = _total(units)
    found = [0] * len(units)
    for i in sorted(range(len(units)), key=lambda i: (-units[i].size, i)):  # the largest first fill up evenly
        counts = units[i].counts
        cost = [sum(n * (n + 2 * own[name]) / total[name] for name, n in counts.items()) for own in have]
        found[i] = min(range(split.folds), key=lambda fold: (cost[fold], sizes[fold]))
        have[found[i]].update(counts)
        sizes[found[i]] += units[i].size
    return found


def _blocks(units: Sequence[_Unit], folds: int) -> list[int]:
    """Cut the samples of each stratum into as many blocks, whose sizes differ by 1 at most.

    Where they begin depends on the stratum's name, lest the first folds get all the larger ones.
    """
    total = _total(units)
    seen = Counter[str]()
    found = []
    for unit in units:
        (name,) = unit.counts
        found.append((seen[name] * folds // total[name] + seed64("fold", name)) % folds)
        seen[name] += 1
    return found


def _check_share(units: Sequence[_Unit], taken: Sequence[_Unit], name: str, split: Split) -> None:
    """Raise where whole groups miss a share by far."""
    total, got = (sum(unit.size for unit in these) for these in (units, taken))
    share: float = getattr(split, name)
    if split.group is None or abs(got - share * total) <= max(NEAR * share * total, 1):
        return
    largest = max(units, key=lambda unit: unit.size)
    raise ZoetropeError(
        f"data.split.group: with whole groups {name} gets {got:,} of {total:,} samples, and data.split.{name}="
        f"{share:g} asks for {share * total:,.0f}. There are {len(units):,} groups, and the largest, {largest.name!r}, "
        f"holds {largest.size:,}. Set data.split.{name} to a share that whole groups can have, or make groups smaller."
    )


def _check_folds(units: Sequence[_Unit], folds: int, split: Split) -> None:
    """Raise where so many folds cannot be made, or not of the same size."""
    if len(units) < folds:
        what = "groups" if split.group is not None else "samples"
        raise ZoetropeError(
            f"data.split.folds: {len(units):,} {what} are not enough for {folds} folds; set it to {len(units)} or less."
        )
    total = _total(units)
    if rare := [name for name, count in sorted(total.items()) if name and count < folds]:
        raise ZoetropeError(
            f"data.split.folds: class {rare[0]!r} has {total[rare[0]]:,} samples, fewer than the {folds} folds, so "
            f"data.split.stratify cannot give each one of them. Add samples, set folds to {total[rare[0]]}, or leave "
            "stratify out."
        )
    largest = max(units, key=lambda unit: unit.size)
    if largest.size > 2 * total.total() / folds:
        raise ZoetropeError(
            f"data.split.folds: {largest.name!r} holds {largest.size:,} of {total.total():,} samples that stay "
            f"together, and one of {folds} folds has {total.total() / folds:,.0f}. Set folds to "
            f"{2 * total.total() // largest.size}, or make groups smaller."
        )
