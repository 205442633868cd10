"""What a search may try for a key: `uniform(0, 0.2)`, `choice(sgd, adamw)`. Read as a syntax tree; nothing is run."""

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.base.errors import unknown

MOST_CHOICES = 1000
MOST_LETTERS = 100_000


@dataclass(frozen=True)
class Domain:
    """The values of a key. `at(u)` is the one at share u of 0 <= u < 1, so that u uniform makes a fair draw."""

    text: str

    def at(self, u: float) -> Any:
        """Return the value at a share of the domain."""
        raise NotImplementedError

    @property
    def listed(self) -> list[Any] | None:
        """All values, where they can be counted."""
        return None

    @property
    def ends(self) -> list[Any]:
        """The values that a recipe must take for all others to be right, too."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Uniform(Domain):
    """`uniform(low, high)`: any number between them."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """Interpolate linearly in u."""
        return self.low + u * (self.high - self.low)

    @property
    def ends(self) -> list[Any]:
        """The smallest and the largest."""
        return [self.low, self.high]


@dataclass(frozen=True)
class LogUniform(Uniform):
    """`loguniform(low, high)`: any number between them, every factor as likely at either end."""

    def at(self, u: float) -> float:
        """Interpolate linearly in u on a logarithmic scale."""
        return min(self.high, max(self.low, self.low * (self.high / self.low) ** u))


@dataclass(frozen=True)
class QUniform(Uniform):
    """`quniform(low, high, step)`: low, low + step, ... up to high."""

    step: float

    @property
    def listed(self) -> list[float]:
        """The multiples, without the tails that adding floats would give them."""
        count = math.floor((self.high - self.low) / self.step + 1e-9)
        return [float(f"{self.low + i * self.step:.12g}") for i in range(count + 1)]

    def at(self, u: float) -> float:
        """Return one of `listed`, all of them alike."""
        return self.listed[int(u * len(self.listed))]

    @property
    def ends(self) -> list[Any]:
        """The smallest and the largest."""
        return [self.listed[0], self.listed[-1]]


@dataclass(frozen=True)
class RandInt(Domain):
    """`randint(low, high)`: a whole number, both ends included."""

    low: int
    high: int

    def at(self, u: float) -> int:
        """Return one of `listed`, all of them alike."""
        return self.low + int(u * (self.high - self.low + 1))

    @property
    def listed(self) -> list[int] | None:
        """All of them, unless they are very many."""
        return list(range(self.low, self.high + 1)) if self.high - self.low < MOST_CHOICES else None

    @property
    def ends(self) -> list[Any]:
        """The smallest and the largest."""
        return [self.low, self.high]


@dataclass(frozen=True)
class Choice(Domain):
    """`choice(a, b, ...)`: one of these values: numbers, words, texts, lists or mappings."""

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """Return one of them, all alike."""
        return self.values[int(u * len(self.values))]

    @property
    def listed(self) -> list[Any]:
        """All of them."""
        return list(self.values)

    @property
    def ends(self) -> list[Any]:
        """All of them."""
        return list(self.values)


def parse_domain(value: Any) -> Domain:
    """Read `uniform(0.0, 0.2)`, `choice(sgd, adamw)`, ...; ValueError says what is wrong and what the forms are."""
    if isinstance(value, Domain):
        return value
    text = str(value).strip()
    try:
        if len(text) > MOST_LETTERS:
            raise SyntaxError
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
        raise ValueError(f"{text[:80]!r} is no domain; write it as {FORMS}")
    name = call.func.id
    if name not in KINDS:
        raise ValueError(f"{unknown('domain', name, KINDS)}; the forms are {FORMS}")
    values = [_value(node, text) for node in call.args]
    return KINDS[name](text, values)


def _value(node: ast.expr, text: str) -> Any:
    """Parse a literal; a bare word is a text, but for YAML's `true`, `false` and `null`."""
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "null": None}.get(node.id, node.id)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(one, text) for one in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key, text): _value(one, text) for key, one in zip(node.keys, node.values, strict=True) if key}
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise ValueError(
            f"{(ast.get_source_segment(text, node) or text)[:80]!r} is no value; write numbers, words, "
            "'quoted texts', lists or mappings"
        ) from None


def _numbers(name: str, values: list[Any], count: int) -> list[float]:
    ok = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if len(values) != count or not ok:
        raise ValueError(f"{name} takes {count} numbers")
    if values[0] >= values[1]:
        raise ValueError(f"{name}({values[0]}, {values[1]}): the first must be smaller than the second")
    return values


def _uniform(text: str, values: list[Any]) -> Domain:
    low, high = _numbers("uniform", values, 2)
    return Uniform(text, float(low), float(high))


def _loguniform(text: str, values: list[Any]) -> Domain:
    low, high = _numbers("loguniform", values, 2)
    if low <= 0:
        raise ValueError(f"loguniform({low}, {high}): both must be larger than 0")
    return LogUniform(text, float(low), float(high))


def _quniform(text: str, values: list[Any]) -> Domain:
    low, high, step = _numbers("quniform", values, 3)
    if not 0 < step <= high - low or (high - low) / step >= MOST_CHOICES:
        raise ValueError(f"quniform: a step of {step} from {low} to {high} does not give 2 to {MOST_CHOICES} values")
    return QUniform(text, float(low), float(high), float(step))


def _randint(text: str, values: list[Any]) -> Domain:
    low, high = _numbers("randint", values, 2)
    if not isinstance(low, int) or not isinstance(high, int):
        raise ValueError("randint takes 2 whole numbers")
    return RandInt(text, low, high)


def _choice(text: str, values: list[Any]) -> Domain:
    if not 1 <= len(values) <= MOST_CHOICES:
        raise ValueError(f"choice takes 1 to {MOST_CHOICES} values")
    return Choice(text, tuple(values))


KINDS: dict[str, Callable[[str, list[Any]], Domain]] = {
    "uniform": _uniform,
    "loguniform": _loguniform,
    "quniform": _quniform,
    "randint": _randint,
    "choice": _choice,
}
FORMS = "uniform(0, 0.2), loguniform(0.01, 1), quniform(0, 1, 0.1), randint(1, 5) or choice(a, b)"
