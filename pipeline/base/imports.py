"""Doing without a heavy module that another one would load for nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """Hide modules: inside, `import name` raises ImportError, unless it is loaded already; for modules that can do
    without it.

    Not where another thread may import at the same time: it would get the ImportError.
    """
    if name in sys.modules:
        yield
        return
    # By Python's own rule, None makes the import fail; the hint knows modules only.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
