"""Entries: keys and parts of names, wherever they are."""

from typing import Any

import pytest
import torch

from models.weights.search import entries, tensors, within
from pipeline.base.errors import ZoetropeError

X, Y = torch.zeros(1), torch.ones(1)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"a.b": X}, {"a.b": X}),
        ({"state_dict": {"net.a": X}, "epoch": 3}, {"state_dict/net.a": X}),
        ({"models": [{"a": X}, ({"a": Y},)]}, {"models/0/a": X, "models/1/0/a": Y}),
        ({"state": {0: {"step": X}}, None: X, (1,): X}, {"state/0/step": X}),
        ([], {}),
        (X, {}),
        (3, {}),
        ("text", {}),
    ],
)
def test_tensors_by_the_keys_on_the_way_to_them(content: Any, named: dict[str, Any]) -> None:
    found = tensors(content, "w.pth")
    assert list(found) == list(named)
    assert all(found[name] is named[name] for name in named)


def test_what_holds_itself_has_an_end() -> None:
    content: dict[str, Any] = {"a": X}
    content["self"] = content
    assert list(tensors(content, "w.pth"))[:2] == ["a", "self/a"]
    assert len(tensors(content, "w.pth")) == 8


def test_what_is_nested_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.weights.search.MOST_CHARACTERS", 10_000)
    wide: Any = []
    for _ in range(9):
        wide = [wide] * 10
    with pytest.raises(ZoetropeError, match=r"w\.pth is nested so widely that its names alone have 10000 characters"):
        tensors(wide, "w.pth")


def test_entries_are_keys_and_parts_of_names() -> None:
    named = {"n": X, "net.a.x": X, "net.b": Y, "ema/net.a.x": Y}
    found = entries(named, 1)
    assert found == {
        "": {"n": X, "net.a.x": X, "net.b": Y},
        "net.": {"a.x": X, "b": Y},
        "net.a.": {"x": X},
        "ema/": {"net.a.x": Y},
        "ema/net.": {"a.x": Y},
        "ema/net.a.": {"x": Y},
    }
    assert list(found) == ["", "net.", "net.a.", "ema/", "ema/net.", "ema/net.a."]
    assert list(entries(named, 2)) == ["", "net."]


def test_one_entry() -> None:
    content = {"state_dict": {"net.a": X}, "state_dict_ema": {"net.a": Y}, "epoch": 1}
    assert within(content, "state_dict_ema", "w.pth") == {"net.a": Y}
    assert within(content, "state_dict_ema/net", "w.pth") == {"a": Y}
    with pytest.raises(ZoetropeError, match=r"w\.pth: unknown entry 'state_dict_em'; did you mean 'state_dict_ema' or"):
        within(content, "state_dict_em", "w.pth")
    with pytest.raises(ZoetropeError, match=r"unknown entry 'x'; known are: state_dict, state_dict_ema"):
        within(content, "x", "w.pth")
