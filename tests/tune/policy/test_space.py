import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.policy import Policy, load_policy
from tune.policy.space import OPERATIONS, Space, Vector, union

SPACE = Space(2, 2)


def test_a_known_vector() -> None:
    vector: Vector = {
        **{"operation_0_0": "Rotate", "probability_0_0": 0.25, "strength_0_0": 1.0},
        **{"operation_0_1": "Invert", "probability_0_1": 1.0, "strength_0_1": 0.7},
        **{"operation_1_0": "Cutout", "probability_1_0": 0.12345, "strength_1_0": 0.5},
        **{"operation_1_1": "ShearX", "probability_1_1": 0.0, "strength_1_1": 0.0},
    }
    policy = SPACE.decode(vector)
    assert policy == [
        [("Rotate", 0.25, 9.0), ("Invert", 1.0, None)],
        [("Cutout", 0.123, 4.5), ("ShearX", 0.0, 0.0)],
    ]
    assert load_policy(policy) == policy


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4))
def test_vectors_and_policies_are_the_same_thing(seed: int, sub_policies: int, operations: int) -> None:
    space = Space(sub_policies, operations)
    policy = space.random(seed)
    assert [len(sub) for sub in policy] == [operations] * sub_policies
    assert load_policy(policy) == policy == space.decode(space.encode(policy)) == space.random(seed)


def test_random_policies_have_every_operation_alike() -> None:
    names = [name for seed in range(300) for sub in Space(5, 2).random("frequency", seed) for name, _, _ in sub]
    for name in OPERATIONS:  # 200 expected, of a deviation of 14
        assert names.count(name) == pytest.approx(200, abs=60)


def test_a_union_keeps_the_first_of_equal_operations() -> None:
    first: Policy = [[("Rotate", 0.1, 1.0), ("Invert", 0.2, None)], [("Invert", 0.3, None), ("Rotate", 0.4, 1.0)]]
    second: Policy = [[("Rotate", 0.9, 9.0), ("Invert", 0.9, None)], [("Equalize", 0.5, None), ("Invert", 0.6, None)]]
    assert union([first, second]) == [*first, second[1]]
    assert union([second, first]) == [*second, first[1]]
