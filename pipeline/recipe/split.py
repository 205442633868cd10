"""`data.split`: how samples are held out where the source does not say it itself."""

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pipeline.recipe.section import Fraction, Section

ROUNDING = 1e-9
"""Of shares that add up to 1: 0.1 + 0.9 is not more than that."""


class Split(Section):
    """How samples are held out where the source does not say it itself: by a hash of the path, so that a sample stays
    where it is when files are added.
    """

    late = frozenset({"test", "group", "stratify", "folds", "fold"})

    val: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the samples that goes to `val`. With `folds` a fold goes there instead."""
    test: Fraction = 0.0
    """Share of the samples that goes to `test`, which is measured in place of `val` when the training is over."""
    group: str | None = None
    """What must not lie on two sides, such as all pictures of one patient: a column of a table, or a regular expression
    over the path whose parentheses hold the group, such as "(.*)/" for the folder of a file. Shares are then met as
    nearly as whole groups allow."""
    stratify: bool = False
    """Keep the shares in each class, to a sample; of several labels a sample counts for its rarest one."""
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    """Cross-validation: so many equal parts of what is not `test`. Each sample is in `val` of one of these runs."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Which of the parts is `val`, from 0 on: each is a run of its own."""

    @field_validator("group")
    @classmethod
    def _a_group(cls, value: str | None) -> str | None:
        if value is None or "(" not in value:
            return value
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(
                f"{value!r} has {groups} pairs of parentheses, and what one pair holds is the group; write (?:...) for "
                "those that only hold together"
            )
        return value

    @model_validator(mode="after")
    def _add_up(self) -> "Split":
        if self.folds is None and self.fold:
            raise ValueError(f"fold is {self.fold}, and there are no folds; write folds: 5, say, beside it")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}, and the {self.folds} folds are numbered from 0 to {self.folds - 1}")
        if self.folds is None and self.val + self.test >= 1 - ROUNDING:
            raise ValueError(
                f"val and test are {self.val:g} and {self.test:g}, which leaves nothing to train; together they must "
                "be less than 1"
            )
        return self

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """The regular expression that `group` is; None where it names a column."""
        return re.compile(self.group) if self.group is not None and "(" in self.group else None

    @property
    def column(self) -> str | None:
        """The column that `group` names, if it does."""
        return self.group if self.pattern is None else None

    @property
    def asked(self) -> list[str]:
        """The keys that are set beside `val`, which recipes may have for sources that need it not."""
        fields = type(self).model_fields
        return [name for name in fields if name in self.late and getattr(self, name) != fields[name].get_default()]

    @property
    def trained(self) -> float:
        """The share of the samples that is trained on."""
        return (1 - self.test) * (1 - 1 / self.folds) if self.folds else 1 - self.test - self.val
