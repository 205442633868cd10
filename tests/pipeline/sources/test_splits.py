"""What `data.split` holds out: shares, groups, classes and folds, whatever the order in which samples are listed."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.sources import OwnSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection, section_of
from pipeline.sources import files_of
from pipeline.sources.listing import Candidate, Listing
from pipeline.sources.splits import divide, known_test

Samples = dict[str, tuple[str, ...]]
"""Keys, and labels of each."""
Names = Mapping[str, str]
NONE: Names = {}


def listing(samples: Samples, units: Names = NONE, splits: Names = NONE) -> Listing:
    listed = [Candidate(key, "", of, splits.get(key, ""), unit=units.get(key, "")) for key, of in samples.items()]
    return Listing(listed, Counter(), True, "data.source.path: here", "", "")


def divided(samples: Samples, units: Names = NONE, splits: Names = NONE, **split: Any) -> dict[str, str]:
    return {c.key: c.split for c in divide(listing(samples, units, splits), Split(**split)).candidates}


def numbered(counts: dict[str, int]) -> Samples:
    return {f"{name}/{i}.jpg": (name,) for name, count in counts.items() for i in range(count)}


def of(splits: dict[str, str], name: str) -> set[str]:
    return {key for key, split in splits.items() if split == name}


def refusal(samples: Samples, units: Names = NONE, **split: Any) -> str:
    with pytest.raises(ZoetropeError) as caught:
        divided(samples, units, **split)
    return str(caught.value)


CLASSES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1)
GROUPS = st.lists(st.integers(1, 9), min_size=20, max_size=60)
"""The sizes of groups."""


def test_which_are_held_out_is_known_for_ever() -> None:
    splits = divided({f"cat/{i}.jpg": ("cat",) for i in range(20)}, test=0.2)
    assert of(splits, "val") == {"cat/9.jpg", "cat/14.jpg", "cat/15.jpg"}
    assert splits == divided({f"cat/{i}.jpg": ("dog",) for i in range(20)}, test=0.2)


@given(st.floats(0.01, 0.49), st.floats(0.01, 0.49), st.floats(0.01, 0.49))
def test_a_larger_share_holds_out_the_same_and_more(a: float, b: float, test: float) -> None:
    samples = numbered({"x": 200})
    small, large = (divided(samples, val=share, test=test) for share in sorted((a, b)))
    assert of(small, "val") <= of(large, "val")
    assert of(small, "test") == of(large, "test")


def test_shares_are_kept() -> None:
    counts = Counter(divided({f"x/{i}.mp4": () for i in range(10_000)}, val=0.2, test=0.1).values())
    assert abs(counts["val"] - 2000) < 160  # four standard deviations
    assert abs(counts["test"] - 1000) < 120


@pytest.mark.parametrize(
    "split",
    [
        {"test": 0.1},
        {"stratify": True, "test": 0.1},
        {"group": "(.)_"},
        {"group": "(.)_", "stratify": True},
        {"folds": 3},
        {"group": "(.)_", "folds": 3, "stratify": True},
    ],
)
def test_the_order_of_the_files_changes_nothing(split: dict[str, Any]) -> None:
    samples: Samples = {f"{'abcdefghijklmnop'[i % 16]}_{i}": (str(i % 3),) for i in range(160)}
    turned = random.Random(5).sample([*samples.items()], len(samples))
    assert divided(samples, **split) == divided(dict(turned), **split)


@given(CLASSES, st.sampled_from([0.1, 0.2, 0.25, 0.5]), st.sampled_from([0.0, 0.1, 0.3]))
def test_stratified_shares_are_those_of_each_class_to_a_sample(counts: dict[str, int], val: float, test: float) -> None:
    splits = divided(numbered(counts), val=val, test=test, stratify=True)
    for name, count in counts.items():
        got = Counter(split for key, split in splits.items() if key.startswith(name))
        assert abs(got["val"] - val * count) <= 1
        assert abs(got["test"] - test * count) <= 1
        assert got["train"] >= 1
        assert got["val"] >= (count >= 2)
        assert got["test"] >= (count >= 3 and test > 0)


def test_stratified_counts() -> None:
    splits = divided(numbered({"a": 100, "b": 10, "c": 5, "d": 2, "e": 1}), val=0.2, test=0.1, stratify=True)
    assert Counter((key[0], split) for key, split in splits.items()) == {
        ("a", "train"): 70, ("a", "val"): 20, ("a", "test"): 10,
        ("b", "train"): 7, ("b", "val"): 2, ("b", "test"): 1,
        ("c", "train"): 3, ("c", "val"): 1, ("c", "test"): 1,
        ("d", "train"): 1, ("d", "val"): 1,
        ("e", "train"): 1,
    }  # fmt: skip


@given(CLASSES, st.integers(0, 39))
def test_stratified_one_more_file_moves_two_of_its_own_class_at_most(counts: dict[str, int], place: int) -> None:
    samples = numbered(counts)
    before = divided(samples, test=0.1, stratify=True)
    after = divided(samples | {f"a/new{place}.jpg": ("a",)}, test=0.1, stratify=True)
    moved = {key for key in samples if before[key] != after[key]}
    assert len(moved) <= 2
    assert all(key.startswith("a") for key in moved)


def test_of_several_labels_the_rarest_one_counts() -> None:
    samples: Samples = {f"{i}": ("common", "rare") if i % 10 == 0 else ("common",) for i in range(100)}
    samples |= {f"none{i}": () for i in range(10)}
    splits = divided(samples, val=0.2, stratify=True)
    assert sum("rare" in samples[key] for key in of(splits, "val")) == 2
    assert sum(not samples[key] for key in of(splits, "val")) == 2
    assert len(of(splits, "val")) == 22


@given(GROUPS, st.sampled_from([0.2, 0.3]), st.sampled_from([0.0, 0.2]), st.booleans())
def test_groups_never_lie_on_two_sides(sizes: list[int], val: float, test: float, stratify: bool) -> None:
    samples: Samples = {f"p{g}_{i}": (str(i % 2),) for g, size in enumerate(sizes) for i in range(size)}
    splits = divided(samples, val=val, test=test, stratify=stratify, group="p(.*)_")
    sides = {(key.partition("_")[0], split) for key, split in splits.items()}
    assert len(sides) == len(sizes)
    counts = Counter(splits.values())
    assert abs(counts["val"] - val * len(samples)) <= 5  # half of the largest group, and rounding
    assert abs(counts["test"] - test * len(samples)) <= 5


def test_groups_with_classes_of_their_own_are_stratified_too() -> None:
    samples: Samples = {f"p{g}_{i}": ("sick" if g < 10 else "well",) for g in range(50) for i in range(4)}
    splits = divided(samples, val=0.2, group="p(.*)_", stratify=True)
    assert Counter(samples[key][0] for key in of(splits, "val")) == {"sick": 8, "well": 32}


def test_parts_of_a_file_stay_together() -> None:
    samples: Samples = {f"{file}.mp4#{i}": (str(i),) for file in range(20) for i in range(3)}
    units = {key: key.partition("#")[0] for key in samples}
    for split in ({}, {"stratify": True}, {"folds": 4}, {"folds": 4, "stratify": True}):
        splits = divided(samples, units, **split)
        assert len({(units[key], split) for key, split in splits.items()}) == 20


@given(CLASSES, st.integers(2, 5), st.booleans(), st.sampled_from([0.0, 0.2]))
def test_each_sample_is_in_val_of_one_fold(counts: dict[str, int], folds: int, stratify: bool, test: float) -> None:
    samples = numbered({name: 2 * folds + count for name, count in counts.items()})
    runs = [divided(samples, folds=folds, fold=fold, stratify=stratify, test=test) for fold in range(folds)]
    tested = of(runs[0], "test")
    assert all(of(run, "test") == tested for run in runs)
    assert Counter(key for run in runs for key in of(run, "val")) == Counter(samples.keys() - tested)
    sizes = [len(of(run, "val")) for run in runs]
    if not stratify:
        assert max(sizes) - min(sizes) <= 1
    for name in counts if stratify else ():
        of_class = [sum(key.startswith(name) for key in of(run, "val")) for run in runs]
        assert max(of_class) - min(of_class) <= 1


@given(GROUPS, st.integers(2, 4), st.booleans())
def test_folds_of_groups(sizes: list[int], folds: int, stratify: bool) -> None:
    samples: Samples = {f"p{g}_{i}": ("x",) for g, size in enumerate(sizes) for i in range(size)}
    runs = [divided(samples, folds=folds, fold=fold, stratify=stratify, group="p(.*)_") for fold in range(folds)]
    assert Counter(key for run in runs for key in of(run, "val")) == Counter(samples.keys())
    assert all(len({(key.partition("_")[0], split) for key, split in run.items()}) == len(sizes) for run in runs)
    counts = [len(of(run, "val")) for run in runs]
    assert max(counts) - min(counts) <= max(sizes)


def test_one_more_file_moves_few_between_folds() -> None:
    samples = numbered({"a": 100, "b": 100})
    before = divided(samples, folds=5, stratify=True)
    after = divided(samples | {"a/new.jpg": ("a",)}, folds=5, stratify=True)
    assert sum(before[key] != after[key] for key in samples) <= 2


def test_what_the_source_says_stays() -> None:
    samples = numbered({"a": 40})
    own = dict.fromkeys([*samples][:10], "test")
    splits = divided(samples, splits=own, val=0.5, stratify=True)
    assert of(splits, "test") == own.keys()
    assert Counter(splits.values()) == {"test": 10, "val": 15, "train": 15}


class Own(OwnSource):
    """A user's own source, which holds out by the share that it is given."""

    def look(self, task: TaskSection, val_share: float) -> Listing:
        whole = listing({str(i): ("x",) for i in range(10)})
        held = [replace(c, split="val" if int(c.key) < 10 * val_share else "train") for c in whole.candidates]
        return replace(whole, candidates=[*held, Candidate("own", "", ("x",), "test")])

    def digest(self) -> str:
        return ""


def test_a_source_of_ones_own_is_held_out_by_its_own_rule_until_more_is_asked() -> None:
    def found(split: Split) -> dict[str, str]:
        source, task = Own(), section_of("image-classification")  # type: ignore[call-arg]  # its kind is its name
        return {c.key: c.split for c in divide(files_of(source).look(source, task, split), split).candidates}

    assert of(found(Split(val=0.3)), "val") == {"0", "1", "2"}
    runs = [found(Split(folds=2, fold=fold)) for fold in range(2)]
    assert of(runs[0], "val") | of(runs[1], "val") == {str(i) for i in range(10)}
    assert all(of(run, "test") == {"own"} for run in runs)


def test_a_group_is_one_in_all_sources_of_a_mixture() -> None:
    listed = [Candidate(f"{s}/p{g}", "", ("x",), "", source=s, unit=f"p{g}") for s in "ab" for g in range(10)]
    whole = Listing(listed, Counter(), True, "", "", "")
    found = divide(whole, Split(group="patient", val=0.2)).candidates
    assert len({(one.unit, one.split) for one in found}) == 10
    single = divide(whole, Split(stratify=True, val=0.2)).candidates
    assert Counter(one.split for one in single) == {"train": 16, "val": 4}


@pytest.mark.parametrize(
    ("counts", "split", "says"),
    [
        ({"a": 9}, {"group": "x(.)"}, "data.split.group: 'x(.)' finds no group in 9 of 9 paths, such as 'a/0.jpg'."),
        ({"a": 9}, {"group": "(.)/"}, "data.split.group: all samples are of one group, 'a', so none can be held out."),
        ({"a": 3}, {"folds": 4}, "data.split.folds: 3 samples are not enough for 4 folds; set it to 3 or less."),
        ({"a": 9, "b": 9}, {"folds": 4, "group": "(.)/"}, "data.split.folds: 2 groups are not enough for 4 folds;"),
        (
            {"a": 9, "b": 3},
            {"folds": 4, "stratify": True},
            "data.split.folds: class 'b' has 3 samples, fewer than the 4 folds, so data.split.stratify cannot give "
            "each one of them. Add samples, set folds to 3, or leave stratify out.",
        ),
        (
            {"a": 90, "b": 5, "c": 5, "d": 5, "e": 5},
            {"folds": 5, "group": "(.)/"},
            "data.split.folds: 'a' holds 90 of 110 samples that stay together, and one of 5 folds has 22. Set folds to "
            "2, or make groups smaller.",
        ),
        (
            {"a": 50, "b": 50},
            {"val": 0.2, "group": "(.)/"},
            "data.split.group: with whole groups val gets 0 of 100 samples, and data.split.val=0.2 asks for 20. There "
            "are 2 groups, and the largest, 'b', holds 50. Set data.split.val to a share that whole groups can have",
        ),
        ({"a": 50, "b": 50}, {"val": 0.3, "group": "(.)/"}, "with whole groups val gets 50 of 100 samples"),
    ],
)
def test_what_samples_do_not_allow(counts: dict[str, int], split: dict[str, Any], says: str) -> None:
    assert says in refusal(numbered(counts), **split)


@pytest.mark.parametrize(
    ("split", "says"),
    [
        (
            {"val": 0.7, "test": 0.3},
            "val and test are 0.7 and 0.3, which leaves nothing to train; together they must be",
        ),
        ({"folds": 5, "fold": 5}, "fold is 5, and the 5 folds are numbered from 0 to 4"),
        ({"fold": 1}, "fold is 1, and there are no folds; write folds: 5, say, beside it"),
        ({"group": "(a"}, "'(a' is no regular expression: missing ), unterminated subpattern"),
        ({"group": "(a)(b)"}, "'(a)(b)' has 2 pairs of parentheses, and what one pair holds is the group"),
    ],
)
def test_what_a_recipe_may_not_say(split: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Split(**split)
    assert says in str(caught.value)
    Split(val=0.5, test=0.49, folds=2, fold=1, group="(?:a|b)(.)")


def test_the_share_that_is_trained_on() -> None:
    assert Split(val=0.2, test=0.1).trained == pytest.approx(0.7)
    assert Split(folds=5, test=0.1).trained == pytest.approx(0.72)


def test_a_test_split_of_other_classes_is_none() -> None:
    samples: Samples = {"train/a/1": ("a",), "test/u/1": ("u",), "test/u/2": ("u",)}
    splits = {key: key.partition("/")[0] for key in samples}
    found = known_test(listing(samples, splits=splits))
    assert [one.key for one in found.candidates] == ["train/a/1"]
    assert found.others == {"in test, of no class of train": 2}
    both = listing(samples | {"test/a/1": ("a",)}, splits=splits | {"test/a/1": "test"})
    assert known_test(both) is both
