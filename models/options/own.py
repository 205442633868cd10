"""The options of any model by its name, that of a user's own class included."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_type_hints

from pydantic import create_model
from pydantic_core import to_jsonable_python

from models.options import OPTIONS
from models.options.base import Answers, Eats, ModelOptions
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.plugins import is_own, section

if TYPE_CHECKING:
    from torch import nn


class ModuleOptions(ModelOptions):
    """Base of the options that are a module's keyword parameters."""

    module: ClassVar[Callable[..., "nn.Module"]]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        return type(self).module(num_classes=num_classes, **self.arguments())


def options_of(name: str) -> type[ModelOptions]:
    """Return the class of a model's options. `my_package.my_module:MyNet` is the name of one, or of a plain module.

    ZoetropeError for a name that is unknown, not allowed, or of something else.
    """
    if name in OPTIONS:
        return OPTIONS[name]
    if not is_own(name):
        raise ZoetropeError(unknown("model", name, OPTIONS))
    options = section(name, ModelOptions, options_of, lambda found: _of_module(found, name))
    for key, right in (("eats", get_args(Eats)), ("answers", get_args(Answers))):
        if getattr(options, key, None) not in right:
            raise ZoetropeError(f"{name}: its class attribute `{key}` must be one of {', '.join(right)}")
    return options


def _of_module(module: Any, name: str) -> type[ModelOptions]:
    """Options that are the keyword parameters of a module, with the types of its annotations."""
    from torch import nn

    if not (isinstance(module, type) and issubclass(module, nn.Module)):
        raise ZoetropeError(f"{name} is neither a torch.nn.Module nor a models.options.ModelOptions")
    parameters = inspect.signature(module).parameters
    keywords = [key for key, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    if "num_classes" not in keywords:
        raise ZoetropeError(f"{name}: a model takes the keyword parameter num_classes, which {module.__name__} lacks")
    own = [key for key in keywords if key != "num_classes"]
    if taken := [key for key in own if key.startswith("_") or key == "kind" or key in dir(ModelOptions)]:
        raise ZoetropeError(f"{name}: a recipe cannot set a parameter called {', '.join(taken)}; call it otherwise")
    if taken := [key for key in own if key in ModelOptions.model_fields]:
        raise ZoetropeError(f"{name}: every model has the option {taken[0]} already; call the parameter otherwise")
    try:
        types = get_type_hints(module.__init__, include_extras=True)
        fields: dict[str, Any] = {key: _field(types.get(key, Any), parameters[key].default) for key in own}
        made = create_model(module.__name__, __base__=ModuleOptions, __module__=module.__module__, **fields)
    except Exception as error:  # of a type that cannot be looked up, or that no recipe can hold
        raise ZoetropeError(
            f"{name}: its keyword parameters cannot be checked ({str(error).splitlines()[0]}). Give them types and "
            "defaults that a recipe can hold: numbers, text, true or false, None, lists and mappings of these"
        ) from error
    made.module = module
    made.eats = getattr(module, "eats", "image")
    made.answers = getattr(module, "answers", "classes")
    return made


def _field(annotation: Any, default: Any) -> tuple[Any, Any]:
    """Type and default as pydantic takes them. ValueError for a default that cannot be written into a recipe."""
    if default is inspect.Parameter.empty:
        return annotation, ...
    to_jsonable_python(default)
    return annotation, default
