"""How a drafted recipe is laid out."""

import yaml

from pipeline.draft.text import WIDTH, comments, flow, section


def test_a_short_section_is_a_line() -> None:
    lines = section("model", {"kind": "resnet18", "width": 32}, "narrow", ["model: {kind: resnet50}"])
    assert lines == ["model: {kind: resnet18, width: 32}  # narrow", "# model: {kind: resnet50}"]


def test_a_long_section_is_a_line_a_key() -> None:
    value = {"train": [{"RandomCrop": {"height": 9, "width": 9}}] * 4, "eval": ["x"] * 2}
    assert section("augment", value, "why") == [
        "# why",
        "augment:",
        "  train:",
        *["    - {RandomCrop: {height: 9, width: 9}}"] * 4,
        "  eval: [x, x]",
    ]


def test_what_is_written_is_read_again() -> None:
    value = {"path": "./a: b/{split}", "classes": {0: "on", 255: "ä #1"}, "long": ["name" * 9] * 9}
    assert yaml.safe_load("\n".join(section("source", value))) == {"source": value}


def test_values_and_comments() -> None:
    assert (flow("0ep"), flow(1.5), flow("yes")) == ("0ep", "1.5", "'yes'")
    lines = comments("word " * 60)
    assert all(len(line) <= WIDTH and line.startswith("#") for line in lines)
    assert len(lines) > 1
