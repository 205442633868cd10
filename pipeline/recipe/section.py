"""What all sections of a recipe share."""

from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from models.options.base import ModelOptions

Modality = Literal["image", "video"]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a recipe: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False, defer_build=True
    )
    late: ClassVar[frozenset[str]] = frozenset()
    """Keys that came later than artifacts which must stay valid: `without_late` leaves them out at their default."""


def without_late(section: Any, values: Any) -> Any:
    """Return the plain `values` of a section, or of a mapping or list of such, without late
    keys that nobody has set.
    """
    if isinstance(section, Section | ModelOptions):
        fields = type(section).model_fields
        unset = {name for name in section.late if getattr(section, name) == fields[name].get_default()}
        section = {name: getattr(section, name) for name in fields if name not in unset}
    if isinstance(section, dict) and isinstance(values, dict):
        named = {str(name): one for name, one in section.items()}  # as JSON has keys, of values of masks too
        return {name: without_late(one, values[name]) for name, one in named.items() if name in values}
    if isinstance(section, list) and isinstance(values, list):
        return [without_late(one, value) for one, value in zip(section, values, strict=True)]
    return values


def sections(annotation: Any) -> list[type[BaseModel]]:
    """Return the section, or the choices of sections, that a key of this type holds."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]
    return [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
