"""The space of augmentation policies: vectors of named numbers, as a search proposes them, to policies and back."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from augment.magnitudes import MAGNITUDES
from augment.policy import MAX_MAGNITUDE, Policy
from pipeline.base.keyed import Part, generator

Vector = dict[str, str | float]
"""`operation_i_j` (a name), `probability_i_j` and `strength_i_j` (0..1) of step j of sub-policy i."""

OPERATIONS = tuple(MAGNITUDES)
"""The 15 operations of Fast AutoAugment (Lim et al. 2019, section 3.1)."""
_PLACES = 3
"""Decimals that a policy file has; finer steps change no pixel."""


@dataclass(frozen=True)
class Space:
    """Policies of `sub_policies` sub-policies of `operations` steps each, with probability and magnitude continuous."""

    sub_policies: int
    operations: int

    @property
    def places(self) -> Iterator[str]:
        """What the names of a vector end in, step by step."""
        return (f"{i}_{j}" for i in range(self.sub_policies) for j in range(self.operations))

    def decode(self, vector: Mapping[str, str | float]) -> Policy:
        """Decode the policy that a vector stands for; an operation without a magnitude passes over its strength."""
        steps = [
            _step(
                str(vector[f"operation_{place}"]),
                float(vector[f"probability_{place}"]),
                float(vector[f"strength_{place}"]),
            )
            for place in self.places
        ]
        return [steps[i : i + self.operations] for i in range(0, len(steps), self.operations)]

    def encode(self, policy: Policy) -> Vector:
        """Encode a vector of a policy of this form: `decode` gives it back.

        Where there is no magnitude, strength is 0.
        """
        steps = [step for sub in policy for step in sub]
        vector: Vector = {}
        for place, (name, probability, magnitude) in zip(self.places, steps, strict=True):
            vector |= {
                f"operation_{place}": name,
                f"probability_{place}": probability,
                f"strength_{place}": (magnitude or 0.0) / MAX_MAGNITUDE,
            }
        return vector

    def random(self, *key: Part) -> Policy:
        """Return a policy drawn evenly from the space, by its key."""
        rng = generator("policy", *key)
        vector: Vector = {}
        for place in self.places:
            vector |= {
                f"operation_{place}": OPERATIONS[rng.integers(len(OPERATIONS))],
                f"probability_{place}": float(rng.random()),
                f"strength_{place}": float(rng.random()),
            }
        return self.decode(vector)


def union(policies: Iterable[Policy]) -> Policy:
    """Return all sub-policies, but of those with the same operations in the same order only the first.

    As `remove_deplicates` of Fast AutoAugment's code does: put the better ones first.
    """
    found: dict[tuple[str, ...], list[tuple[str, float, float | None]]] = {}
    for policy in policies:
        for sub in policy:
            found.setdefault(tuple(name for name, _, _ in sub), sub)
    return list(found.values())


def _step(name: str, probability: float, strength: float) -> tuple[str, float, float | None]:
    magnitude = None if MAGNITUDES[name] is None else round(strength * MAX_MAGNITUDE, _PLACES)
    return name, round(probability, _PLACES), magnitude
