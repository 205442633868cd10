import pytest

from pipeline.base.visible import visible, visible_lines

NAMES = {
    "\x1b[2Jx.jpg": r"\x1b[2Jx.jpg",
    "\x9b2J": r"\x9b2J",
    "a\rb\x07": r"a\rb\x07",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe": r"\u202egpj.exe",
    "\u2066x\u2069\u200f": r"\u2066x\u2069\u200f",
    "\udcff.jpg": r"\udcff.jpg",
    "größe/猫 🦄 👩\u200d🚀.jpg": "größe/猫 🦄 👩\u200d🚀.jpg",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_terminal_would_obey_is_shown(name: str) -> None:
    assert visible(name) == visible_lines(name) == NAMES[name]


def test_lines_are_those_of_a_message_and_none_of_a_name() -> None:
    assert visible_lines("one\n\ttwo") == "one\n\ttwo"
    assert visible("one\n\ttwo") == r"one\n\ttwo"
