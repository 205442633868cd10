"""A store as pyarrow sees it, for Ray Train's checkpoints: errors in the same words as everywhere."""

from collections.abc import Callable
from typing import Any

from pipeline.store.objects import Objects


def arrow_filesystem(objects: Objects) -> tuple[Any, str]:
    """Return a `pyarrow.fs.FileSystem` and the path of the URL in it. It travels, without credentials."""
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    return PyFileSystem(FSSpecHandler(Worded(objects))), objects.filesystem()[1]


class Worded:
    """fsspec's filesystem, or a file of it, which raises StoreError.

    A file that is half written cannot be tried again from here, so that is left to the library below.
    """

    def __init__(self, objects: Objects, file: Any = None) -> None:
        self._objects, self._file = objects, file

    def __reduce__(self) -> tuple[Any, ...]:
        return Worded, (self._objects,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Worded) and (self._objects, self._file) == (other._objects, other._file)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        inner = self._file if self._file is not None else self._objects.filesystem(patient=True)[0]
        value = getattr(inner, name)
        return self._worded(name, value) if callable(value) else value

    def _worded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self._objects.in_words(f"{name} a checkpoint"):
                result = method(*arguments, **options)
            return Worded(self._objects, result) if name == "open" else result

        return call
