from collections import Counter
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.schema import Classes
from pipeline.sources.classes import LEFT_OUT, naming, renamed, resolve_classes
from pipeline.sources.listing import Candidate, Listing

LABELS = ("bus", "car", "cat", "dog", "01", "1", "2")


def named(**asked: Any) -> dict[str, str | None]:
    return dict(naming(LABELS, Classes(**asked)))


def refusal(**asked: Any) -> str:
    with pytest.raises(ZoetropeError) as caught:
        named(**asked)
    return str(caught.value)


def test_names_stay_but_for_one_number_in_two_spellings() -> None:
    assert named() == {name: name for name in LABELS} | {"01": "1"}


def test_merged_and_renamed_and_then_kept() -> None:
    asked = {"merge": {"vehicle": ["car", "bus"], "cat": ["dog"]}, "rename": {"2": "two"}}
    names = {"bus": "vehicle", "car": "vehicle", "cat": "cat", "dog": "cat", "01": "1", "1": "1", "2": "two"}
    assert named(**asked) == names
    assert named(**asked, keep=["vehicle", "01"]) == {
        label: name if name in ("vehicle", "1") else None for label, name in names.items()
    }
    assert named(merge={"car": ["car", "bus"]})["bus"] == "car"
    swapped = named(rename={"cat": "dog", "dog": "cat"})
    assert (swapped["cat"], swapped["dog"]) == ("dog", "cat")
    assert named(keep=[2, 1])["01"] == "1"  # numbers of YAML


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"keep": ["cta"]}, "data.classes.keep: unknown class 'cta'; did you mean 'cat'"),
        ({"rename": {"cta": "x"}}, "data.classes.rename: unknown class 'cta'; did you mean 'cat'"),
        ({"merge": {"x": ["cta"]}}, "data.classes.merge: unknown class 'cta'; did you mean 'cat'"),
        ({"merge": {"vehicle": ["car"]}, "keep": ["car"]}, "data.classes.keep: unknown class 'car'"),
        ({"merge": {"x": ["car"], "y": ["car", "bus"]}}, "data.classes.merge: the class 'car' stands in it"),
        ({"merge": {"x": ["car"]}, "rename": {"car": "y"}}, "or in data.classes.rename twice."),
        (
            {"rename": {"car": "bus"}},
            "data.classes.rename: 'car' cannot be called 'bus', as another class is. To make one class of them: "
            "data.classes.merge={bus: [bus, car]}.",
        ),
        ({"rename": {"car": "a\n\tb"}}, "data.classes.rename: 'a\\n\\tb' is no name of a class: its label"),
        ({"rename": {"car": " "}}, "data.classes.rename: ' ' is no name of a class: its label is empty."),
    ],
)
def test_wishes_that_cannot_be(asked: dict[str, Any], says: str) -> None:
    assert says in refusal(**asked)


def listing(*labels: tuple[str, ...], **more: Any) -> Listing:
    candidates = [Candidate(f"{i}.jpg", f"/{i}.jpg", one, "train") for i, one in enumerate(labels)]
    return Listing(candidates, Counter({".txt": 1}), False, "data.source.path: /x", "folders", "", **more)


def test_a_listing_with_its_classes() -> None:
    made = resolve_classes(
        listing(("dog",), ("cat",), ("car",), ("01",), ("1",), class_order=("dog", "cat", "car", "none")),
        Classes(merge={"pet": ["cat", "dog"]}, keep=["pet", "1"]),
        label_sets=False,
    )
    assert [(c.key, c.labels) for c in made.candidates] == [
        ("0.jpg", ("pet",)),
        ("1.jpg", ("pet",)),
        ("3.jpg", ("1",)),
        ("4.jpg", ("1",)),
    ]
    assert made.others == {".txt": 1, LEFT_OUT: 1}
    assert made.classes() == ["pet", "1"]  # where the first of its members stood
    assert made.notes == ("the labels '01', '1' are one number, and one class",)


def test_sets_of_labels_lose_what_is_not_kept() -> None:
    made = resolve_classes(listing(("car", "cat"), ("dog",), ()), Classes(keep=["cat", "car"]), label_sets=True)
    assert [c.labels for c in made.candidates] == [("car", "cat"), (), ()]
    assert renamed(("b", "a"), {"a": "x", "b": "x"}, label_sets=True) == ("x",)


def test_a_class_that_would_be_lost() -> None:
    lost = {"eel": "2 x .heic", "fox": "1 x .heic"}
    with pytest.raises(ZoetropeError) as caught:
        resolve_classes(listing(("dog",), ("cat",), lost=lost), Classes(), label_sets=False)
    assert str(caught.value) == (
        "data.source.path: /x: nothing of class 'eel', 'fox' can be used; of 'eel' there is 2 x .heic. Mend that, "
        "move what is no class elsewhere, or name the classes that count in data.classes.keep."
    )
    for asked in (Classes(keep=["dog", "cat"]), Classes(merge={"dog": ["eel", "fox"]})):
        assert len(resolve_classes(listing(("dog",), ("cat",), lost=lost), asked, label_sets=False).candidates) == 2
