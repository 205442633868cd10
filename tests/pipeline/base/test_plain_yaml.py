from typing import Any

import pytest

from pipeline.base import plain_yaml
from pipeline.base.plain_yaml import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [0.5, -2, true, null, x]\nc: {d: 'e'}", {"a": 1, "b": [0.5, -2, True, None, "x"], "c": {"d": "e"}}),
        ("seed: 9223372036854775807", {"seed": 2**63 - 1}),
        ("at: 1:30", {"at": "1:30"}),  # and not 90
        ("at: 1:30.5", {"at": "1:30.5"}),
        ("[" * 60 + "]" * 60, None),
        ("", None),
        ("größe: 日本", {"größe": "日本"}),
    ],
)
def test_plain_values(text: str, value: Any) -> None:
    assert value is None or parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: " + ":".join(["1"] + ["59"] * 100_000), "a number of 300,001 characters (line 1, column 4)"),
        ("a: 1" + ":59" * 3000 + ".5", "a number of 9,003 characters"),
        ("a: " + "9" * 100_000, "a number of 100,000 characters"),
        ("a: 0x" + "f" * 100_000, "a number of 100,002 characters"),
        ("a: 9223372036854775808", "9223372036854775808 is beyond the whole numbers of 64 bits"),
        ("a: .inf", ".inf is no finite number"),
        ("a: 1.0e+999", "1.0e+999 is no finite number"),
        ("a: .nan", ".nan is no finite number"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases (*name) are not allowed; write the value again (line 2"),
        ("a: {<<: {b: 1}}", "merge keys (<<) are not allowed; write the values again (line 1, column 5)"),
        ("a: 1\nb: 2\na: 3", "key 'a' stands twice (line 3, column 1)"),
        ("a: {1: x, 0x1: y}", "key '0x1' stands twice"),
        ("'a': 1\na: 2", "key 'a' stands twice"),
        ("? [a]\n: 1", "a key must be a word (line 1, column 3)"),
        ("[" * 100_000, "nested too deeply (line 1, column 65)"),
        ("{a: " * 100 + "}" * 100, "nested too deeply"),
        ("a: 2026-11-20", "a date is no value here; write it in quotes (line 1, column 4)"),
        ("a: !!binary AAAA", "could not determine a constructor for the tag"),
        ("a: !!set {b, c}", "could not determine a constructor for the tag"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
        ('a: "b\\0c"', "a text holds a character that no text can (NUL, half a surrogate pair) (line 1, column 4)"),
        ('"b\\ud800": 1', "a text holds a character that no text can"),
        ("a: \0", "unacceptable character #x0000"),
        ("a: 1\n---\nb: 1", "but found another document (line 2, column 1)"),
    ],
)
def test_hostile_texts_are_answered_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"^.") as error:
        parse_yaml(text)
    assert says in str(error.value)
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


def test_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_yaml, "MAX_VALUES", 10)
    assert parse_yaml("[1, 2, 3, 4, 5, 6, 7, 8, 9]")
    with pytest.raises(ValueError, match=r"^more than 10 values \(line 1, column 29\)"):
        parse_yaml("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]")
