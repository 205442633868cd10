"""One way to write how many bytes: `200GB`, `8GiB`, `500MB`."""

import re

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def parse_size(text: str) -> int:
    """Return the bytes of a text such as `200GB`, `8GiB` or `1.5 T`. ValueError for another one says what the form is.

    GB are powers of ten, GiB of two.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*((?:[KMGT]i?)?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"{text!r} is no size; write one such as 8GiB or 500MB")
    return int(float(found[1]) * UNITS[found[2].upper()])
