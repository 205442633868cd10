"""One vocabulary of time for every key that says how long: `90ep`, `2000st`, `1.2Msa`, `5%`."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(?:(ep|st|%)|([kMG]?)sa)")
_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True)
class Length:
    """An amount of training: epochs (`ep`), optimizer steps (`st`), samples (`sa`) or a share of the whole (`%`)."""

    amount: Fraction
    unit: str
    text: str

    def __str__(self) -> str:
        return self.text

    def steps(self, steps_per_epoch: int, batch_size: int, total_steps: int = 0) -> int:
        """Return the same length in optimizer steps; samples are rounded up to whole steps, the others to the nearest
        one.

        A length of anything but a share is one step at least. `total_steps` is what a share (`5%`) is a share of.
        """
        match self.unit:
            case "%":
                return round(self.amount * total_steps / 100)
            case "ep":
                steps = round(self.amount * steps_per_epoch)
            case "sa":
                steps = math.ceil(self.amount / batch_size)
            case _:
                steps = math.ceil(self.amount)
        return max(steps, 1 if self.amount else 0)


def parse(value: object) -> Length:
    """Read `90ep`, `2000st`, `300ksa`, `1.2Msa` or `5%`; ValueError says what the forms are."""
    if isinstance(value, Length):
        return value
    text = str(value).strip()
    match = _FORM.fullmatch(text)
    if not match:
        raise ValueError(
            f"{text!r} is no duration; write epochs as 90ep, optimizer steps as 2000st, samples as 1.2Msa, "
            "a share as 5%"
        )
    amount, unit, scale = match.groups()
    return Length(Fraction(amount) * _SCALE[scale or ""], unit or "sa", text)


def _whole(value: Any) -> Length:
    length = parse(value)
    if length.unit == "%":
        raise ValueError(f"{length} is a share of this very duration; write it as 90ep, 2000st or 1.2Msa")
    if length.amount == 0:
        raise ValueError("a duration of nothing; write it as 90ep, 2000st or 1.2Msa")
    return length


_serialize = PlainSerializer(str, return_type=str)
Duration = Annotated[Length, BeforeValidator(_whole), _serialize]
"""A recipe key that says how long or how often, absolutely."""
Share = Annotated[Length, BeforeValidator(parse), _serialize]
"""A recipe key that may also be a share of the whole training, such as `warmup: 5%`."""
