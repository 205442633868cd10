"""How often what is drawn."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from augment.auto import AutoAugment, RandAugment, TrivialAugment
from augment.magnitudes import CHOICES
from augment.operations import Step, Steps
from augment.policy import load_policy
from pipeline.base.keyed import generator


def drawn(transform: Steps, draws: int = 4000) -> list[list[Step]]:
    transform.set_random_state(generator("draws"), random.Random(3))
    return [transform.draw(64, 64) for _ in range(draws)]


@pytest.mark.parametrize("name", ["imagenet", "cifar10", "svhn"])
def test_operations_come_as_often_as_the_policy_says(name: str) -> None:
    expected: defaultdict[str, float] = defaultdict(float)
    for sub in load_policy(name):
        for operation, probability, _ in sub:
            expected[operation] += probability * 4000 / 25
    found = Counter(step.name for steps in drawn(AutoAugment(name)) for step in steps)
    for operation, times in expected.items():
        assert abs(found[operation] - times) < 5 * max(times, 1) ** 0.5, operation
    assert set(found) == {operation for operation, times in expected.items() if times}


def test_a_sub_policy_keeps_its_order_and_its_magnitudes() -> None:
    steps = drawn(AutoAugment([[["Rotate", 1, 3], ["Posterize", 1, 9], ["Invert", 0, None]]]), 50)
    assert {tuple(step.name for step in each) for each in steps} == {("Rotate", "Posterize")}
    assert {round(each[0].argument, 6) for each in steps} == {10, -10}
    assert {each[1].argument for each in steps} == {4}


def test_cutout_has_its_own_place() -> None:
    steps = drawn(AutoAugment([[["Cutout", 1, 9]]]), 100)
    assert {each[0].argument for each in steps} == {12}
    assert len({each[0].box for each in steps}) > 90


def test_randaugment() -> None:
    steps = drawn(RandAugment(operations=2, magnitude=9))
    found = Counter(step.name for each in steps for step in each)
    assert set(found) == set(CHOICES) - {None}
    assert all(abs(times - 8000 / 14) < 5 * (8000 / 14) ** 0.5 for times in found.values())
    assert {round(step.argument, 6) for each in steps for step in each if step.name == "Rotate"} == {9, -9}
    assert abs(sum(len(each) for each in steps) - 8000 * 13 / 14) < 150


def test_trivialaugment() -> None:
    steps = drawn(TrivialAugment())
    assert {len(each) for each in steps} == {0, 1}
    assert abs(sum(len(each) for each in steps) - 4000 * 13 / 14) < 100
    turns = {round(each[0].argument, 6) for each in steps if each and each[0].name == "Rotate"}
    assert turns == {sign * 4.5 * k + 0.0 for k in range(31) for sign in (1, -1)}


def test_steps_that_do_nothing_give_the_picture() -> None:
    frame = generator("frame").integers(0, 256, (8, 8, 3), np.uint8)
    transform = AutoAugment([[["Invert", 0, None]]])
    assert np.array_equal(transform(image=frame)["image"], frame)
    assert np.array_equal(transform(images=np.stack([frame, frame]))["images"], np.stack([frame, frame]))
