"""A user's own classes, by names such as `my_package.my_module:MyNet`, from packages that the user has allowed.

Nothing else is imported by a name that stands in a recipe: a recipe alone is data, and runs no code.
"""

import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, SerializeAsAny, WrapValidator, create_model
from pydantic_core import PydanticCustomError

from pipeline.base.errors import ZoetropeError, unknown

VARIABLE = "ZOETROPE_ALLOW"
"""Names of packages with commas between them; processes that are started here inherit it."""
ERROR = "own_class"
"""Type of the errors in a recipe's validation that tell of a user's own class."""
_NAME = re.compile(r"([A-Za-z_]\w*)(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_SECTIONS: dict[str, type[BaseModel]] = {}
"""Those that `section` has made, by their kinds."""

S = TypeVar("S", bound=BaseModel)


def allowed() -> tuple[str, ...]:
    """Return the packages whose code may run."""
    return tuple(filter(None, os.environ.get(VARIABLE, "").split(",")))


def allow(packages: Iterable[str]) -> None:
    """Allow packages, here and in processes that are started from here. ZoetropeError for what is no package's name."""
    packages = tuple(packages)
    for package in packages:
        if not package.isidentifier():
            raise ZoetropeError(
                f"--allow {package}: is no name of a package; of my_package.my_module:MyNet write --allow my_package"
            )
    if packages:
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*allowed(), *packages]))


def is_own(name: Any) -> bool:
    """Tell whether a name in a recipe is that of a user's own class."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def package_of(name: str) -> str:
    """Return the package at the top: "my_package" of "my_package.my_module:MyNet"."""
    return re.split("[.:]", name)[0]


def place(package: str) -> Path:
    """Find the folder of a package, or the file of a module, without importing it. ZoetropeError for none."""
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = folders[0] if folders else spec.origin if spec else None
    if found is None:
        raise ZoetropeError(f"there is no package {package}; {_looked}")
    return Path(found)


_looked = "it is looked for in the current folder, in the folders of PYTHONPATH and among the installed packages"


def load(name: str) -> Any:
    """Import what `name` names. ZoetropeError when its package is not allowed, cannot be imported or lacks it."""
    module, _, last = name.partition(":")
    package = package_of(name)
    if package not in allowed():
        raise ZoetropeError(
            f"{name} is code of the package {package}, which may not run unless you say so: add --allow {package} to "
            f"the command or, where there is none, set {VARIABLE}={package}"
        )
    try:
        found = importlib.import_module(module)
    except Exception as error:  # a user's code raises whatever
        first = (str(error).strip() or "no message").splitlines()[0]
        hint = f"; {_looked}" if isinstance(error, ModuleNotFoundError) and error.name == package else ""
        raise ZoetropeError(f"{name}: importing {module} failed: {type(error).__name__}: {first}{hint}") from error
    if last not in vars(found):
        classes = [key for key, value in vars(found).items() if isinstance(value, type)]
        raise ZoetropeError(f"{name}: {unknown(f'class of {module}', last, classes)}")
    return vars(found)[last]


def section(name: str, base: type[S], find: Callable[[str], type[S]], made_of: Callable[[Any], type[S]]) -> type[S]:
    """Load the section, a subclass of `base`, that `name` names, with the name as its key `kind`.

    made_of: makes a section of anything else that was found, or raises ZoetropeError
    find: gives this section by its name, where an object of it is unpickled
    """
    found, made = load(name), _SECTIONS.get(name)
    if made is None or not issubclass(made, base):
        own = found if isinstance(found, type) and issubclass(found, base) else made_of(found)
        kind: Any = (Literal[name], ...)
        made = create_model(own.__name__, __base__=own, __module__=own.__module__, kind=kind)
        try:
            made.model_rebuild()
        except Exception as error:  # of a type that cannot be looked up, or that no recipe can hold
            first = str(error).splitlines()[0]
            raise ZoetropeError(
                f"{name}: its fields cannot be checked ({first}). Give them types that a recipe can hold: numbers, "
                "text, true or false, None, lists and mappings of these"
            ) from error
        made.__reduce__ = lambda self: (_unpickled, (find, name), self.__getstate__())  # type: ignore[method-assign]
        _SECTIONS[name] = made
    return made


def known(name: Any) -> type[BaseModel] | None:
    """Return the section that a name has turned out to be, if it has."""
    return _SECTIONS.get(name) if is_own(name) else None


def _unpickled(find: Callable[[str], type[BaseModel]], name: str) -> BaseModel:
    allow([package_of(name)])  # it was, where the object comes from
    made = find(name)
    return made.__new__(made)


def or_own(find: Callable[[str], type[BaseModel]]) -> tuple[Any, Any]:
    """Annotate a choice of sections: its `kind` may be the name of a user's own, too, which `find` finds."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        kind: Any = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
        if not is_own(kind):
            return handler(value)
        try:
            section = find(kind)
        except ZoetropeError as error:
            raise PydanticCustomError(ERROR, "{error}", {"error": str(error)}) from None
        return section.model_validate(value)

    return SerializeAsAny(), WrapValidator(validate)


def renamed(values: Any, change: Callable[[str], str]) -> Any:
    """Plain values of a recipe with every name of an own class changed: those of kinds and those of transforms."""
    if isinstance(values, Mapping):
        found = {}
        for key, value in values.items():
            is_kind = str(key).rpartition(".")[2] == "kind" and is_own(value)
            found[change(key) if is_own(key) else key] = change(value) if is_kind else renamed(value, change)
        return found
    return [renamed(value, change) for value in values] if isinstance(values, list) else values


def packages(values: Any) -> list[str]:
    """List the allowed packages whose classes plain values of a recipe name, sorted."""
    found = set()
    renamed(values, lambda name: found.add(package_of(name)) or name)  # type: ignore[func-returns-value]
    return sorted(found.intersection(allowed()))
