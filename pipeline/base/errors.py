"""Errors that a user can cause: they say what, why and what to do, and reach the terminal without a traceback."""

import difflib
from collections.abc import Iterable
from typing import Any

MOST_LISTED = 30
LONGEST_SHOWN = 200


class ZoetropeError(Exception):
    """Base of every error that a user can cause. The message is the whole story: what, why, what to do."""

    resumable = False
    """Whether the same command, with nothing changed, goes on from there."""


def brief(value: Any) -> str:
    """Return what a user gave, as Python writes it, for a sentence: of a long value the beginning."""
    return cut(repr(value), LONGEST_SHOWN)


def cut(text: str, longest: int) -> str:
    """Return the text, or its beginning and `...`, of at most `longest` characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Return the names that look most like `name`, best first; empty when none is near."""
    by_lower = {known.lower(): known for known in names}
    if len(name) > LONGEST_SHOWN:
        return []
    return [by_lower[near] for near in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)]


def unknown(what: str, name: str, names: Iterable[str]) -> str:
    """Return one sentence for a name that does not exist: the nearest right ones, or all of them when none is near.

    >>> unknown("optimizer", "sdg", ["sgd", "adamw"])
    "unknown optimizer 'sdg'; did you mean 'sgd'?"
    """
    known = sorted(names)
    near = nearest(name, known)
    if near:
        return f"unknown {what} {brief(name)}; did you mean {' or '.join(repr(n) for n in near)}?"
    more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
    return f"unknown {what} {brief(name)}; known are: {', '.join(known[:MOST_LISTED])}{more}"
