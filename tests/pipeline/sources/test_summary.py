from collections import Counter
from typing import Any

from pipeline.decode.values import Values
from pipeline.sources.listing import Candidate, Listing, Masks
from pipeline.sources.summary import of_listing, of_refused, of_samples, of_values


def test_the_first_classes_with_their_counts() -> None:
    samples = [("train", ("b",))] * 1200 + [("val", ("b", "a"))] * 2 + [("train", ())]
    assert of_samples(samples, ["a", "b"]) == "data: 1,201 train, 2 val, 2 classes: a 0+2, b 1200+2"
    names = [f"{i}" for i in range(21)]
    assert of_samples([("train", (name,)) for name in names], names) == (
        "data: 21 train, 0 val, 21 classes: 0 1+0, 1 1+0, 2 1+0, 3 1+0, 4 1+0, 5 1+0, 6 1+0, 7 1+0 and 13 more"
    )
    assert (
        of_samples([("train", ("a",)), ("test", ("a",))], ["a"]) == "data: 1 train, 0 val, 1 test, 1 classes: a 1+0+1"
    )
    assert of_samples([], ["x" * 41]).endswith(f"1 classes: {'x' * 37}... 0+0")


def masked(*classes: str | None) -> Listing:
    listed = [Candidate("1.jpg", "/1.jpg", (), "train"), Candidate("2.jpg", "/2.jpg", (), "val")]
    of = Masks(classes, Values(dict.fromkeys(range(len(classes)), 0)))
    return Listing(listed, Counter(), False, "", "", "", class_order=("b", "a"), masks={"": of})


def test_of_masks_the_classes_are_known_and_not_yet_which_of_them_occur() -> None:
    assert of_listing(masked("a", "b", None)) == ["data: 1 train, 1 val, 2 classes: b, a"]
    assert of_listing(masked(*map(str, range(9)))) == [
        "data: 1 train, 1 val, 9 classes: 0, 1, 2, 3, 4, 5, 6, 7 and 1 more"
    ]
    assert of_listing(masked()) == [
        "data: 1 train, 1 val; data.source.classes is not set: ingest says which values the masks have"
    ]
    rows: list[dict[str, Any]] = [{"pixels": 3, "name": "a"}, {"pixels": 1, "name": None}]
    assert of_values(rows) == [
        "masks: 2 values, 25.00% of the pixels do not count; values.jsonl has each one",
    ]
    assert of_values([]) == []


def test_all_that_is_known_of_a_listing() -> None:
    listing = Listing(
        [Candidate("1.jpg", "/1.jpg", ("cat",), "train"), Candidate("2.jpg", "/2.jpg", (), "val")],
        Counter({f".{i}": i for i in range(1, 8)}),
        held_out_by_ratio=False,
        where="",
        layout="",
        own_split="",
        refused={"row 7": "its label is empty", "row 8": "its path is empty"},
        missing=("x", "y"),
        notes=("a note",),
    )
    assert of_listing(listing) == [
        "data: 1 train, 1 val, 1 classes: cat 1+0",
        "a note",
        "files passed over: 7 x .7, 6 x .6, 5 x .5, 4 x .4, 3 x .3, 2 x .2, 1 x .1",
        "missing are 2 of the videos that the annotations name, such as x; ingest lists all in missing.txt",
        "1 samples have no label at all",
        "refused: 2, such as row 7: its label is empty",
    ]
    assert of_refused({}) == []
