"""How many threads torch computes with."""

import os
import sys


def as_given() -> None:
    """Let torch compute with as many threads as Ray gives this work.

    Ray says it by OMP_NUM_THREADS, which torch reads while it is imported: before that in a process that is a fork, or
    has done other work.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if "torch" in sys.modules and given.isdecimal():
        sys.modules["torch"].set_num_threads(int(given))
