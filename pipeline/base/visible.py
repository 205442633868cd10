"""Characters that a terminal obeys instead of showing them, made visible: file names come from anywhere."""

import re

UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, line separators, what turns the direction, and what no encoding has."""


def visible_lines(text: str) -> str:
    r"""Return `text` with escapes as Python writes them; its lines and tabs stay.

    >>> visible_lines("\x1b[2Jx.jpg is no image.\nMend it.")
    '\\x1b[2Jx.jpg is no image.\nMend it.'
    """
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible(name: str) -> str:
    r"""Return the same for a name within a line: a newline in it would look like a line of ours.

    >>> visible("a\nb.jpg")
    'a\\nb.jpg'
    """
    return visible_lines(name).replace("\n", "\\n").replace("\t", "\\t")
