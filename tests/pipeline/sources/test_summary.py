from collections import Counter

from pipeline.sources.listing import Candidate, Listing
from pipeline.sources.summary import of_listing, of_refused, of_samples


def test_the_first_classes_with_their_counts() -> None:
    samples = [("train", ("b",))] * 1200 + [("val", ("b", "a"))] * 2 + [("train", ())]
    assert of_samples(samples, ["a", "b"]) == "data: 1,201 train, 2 val, 2 classes: a 0+2, b 1200+2"
    names = [f"{i}" for i in range(21)]
    assert of_samples([("train", (name,)) for name in names], names) == (
        "data: 21 train, 0 val, 21 classes: 0 1+0, 1 1+0, 2 1+0, 3 1+0, 4 1+0, 5 1+0, 6 1+0, 7 1+0 and 13 more"
    )
    assert of_samples([], ["x" * 41]).endswith(f"1 classes: {'x' * 37}... 0+0")


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
