"""The recipe: whether it can be read, its data are there, and the weights that it starts from."""

from collections.abc import Iterator

from pipeline.base.errors import ZoetropeError
from pipeline.doctor.found import Found, Looked
from pipeline.recipe import plain
from pipeline.sources import digest
from pipeline.training.start import find_start


def recipe(looked: Looked) -> Iterator[Found]:
    """The file itself."""
    found = looked.checked
    if isinstance(found, ZoetropeError):
        yield Found("wrong", str(found), "docs/recipe.md lists every key")
    elif found is not None:
        yield Found("right", f"{looked.path}: {found.model.kind} for {found.task.kind}")


def data(looked: Looked) -> Iterator[Found]:
    """The place of the data."""
    if looked.recipe is None:
        return
    source = looked.recipe.data.source
    try:
        digest(plain(looked.recipe)["data"]["source"])
    except (ZoetropeError, OSError) as error:
        yield Found("wrong", str(error), "data.source.path=/where/it/is")
    else:
        yield Found("right", f"a source of kind {source.kind}{_place(source)}")


def weights(looked: Looked) -> Iterator[Found]:
    """The weights that a training starts from, which a URL's are not fetched for."""
    model = looked.recipe.model if looked.recipe else None
    if looked.recipe is None or model is None or not model.weights:
        return
    if "://" in model.weights:
        yield Found("note", f"model.weights is {model.weights}, which the first run fetches")
        return
    try:
        find_start(model.kind, model.weights, looked.recipe.store)
    except (ZoetropeError, OSError) as error:
        yield Found("wrong", str(error), "python -m pipeline models lists weights by name")
    else:
        yield Found("right", f"model.weights: {model.weights}")


def _place(source: object) -> str:
    path = getattr(source, "path", None) or getattr(source, "urls", None)
    return f": {path}" if path else ""
