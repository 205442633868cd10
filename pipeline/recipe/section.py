"""What all sections of a recipe share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Modality = Literal["image", "video"]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a recipe: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)
