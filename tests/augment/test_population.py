import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augment.operations import Step
from augment.policy import inline, load_schedule
from augment.population import PopulationBased
from augment.transforms import compose
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator

ALWAYS = [[0, [["Rotate", 1.0, 3], ["Invert", 1.0, None], ["ShearX", 1.0, 9]]]]


def drawn(transform: PopulationBased, draws: int = 4000) -> list[list[Step]]:
    transform.set_random_state(generator("draws"), random.Random(3))
    return [transform.draw(64, 64) for _ in range(draws)]


def test_how_many_and_which_operations_happen() -> None:
    steps = drawn(PopulationBased(ALWAYS))
    for count, share in enumerate((0.2, 0.3, 0.5)):
        assert sum(len(each) == count for each in steps) / 4000 == pytest.approx(share, abs=0.03)
    names = Counter(step.name for each in steps for step in each)
    for name in ("Rotate", "Invert", "ShearX"):  # (0.3 + 2 * 0.5) / 3 of the draws
        assert names[name] / 4000 == pytest.approx(1.3 / 3, abs=0.03)
    assert {round(step.argument, 6) for each in steps for step in each if step.name == "Rotate"} == {10, -10}


def test_what_does_not_happen_is_not_counted() -> None:
    schedule = [[0, [["Rotate", 0.0, 3], ["Invert", 1.0, None], ["Invert", 1.0, None]]]]
    steps = drawn(PopulationBased(schedule))
    assert {step.name for each in steps for step in each} == {"Invert"}
    assert sum(len(each) == 2 for each in steps) / 4000 == pytest.approx(0.5, abs=0.03)


def test_the_epoch_says_which() -> None:
    schedule = [[0, [["Rotate", 0, 0]]], [1.5, [["Invert", 1, None]]], [4, [["Cutout", 1, 9]]]]
    transform = PopulationBased(schedule)
    found = {}
    for epoch in range(6):
        transform.epoch = epoch
        found[epoch] = transform.drawn_from[0][0]
    assert found == {0: "Rotate", 1: "Rotate", 2: "Invert", 3: "Invert", 4: "Cutout", 5: "Cutout"}


def test_an_augmentation_goes_by_the_epoch() -> None:
    schedule = [[0, [["Invert", 0, None]] * 2], [1, [["Invert", 1, None]]]]
    augmentation = compose([{"OneOf": {"transforms": [{"PopulationBased": {"schedule": schedule}}], "p": 1}}])
    pixels = np.full((8, 8, 3), 10, np.uint8)
    assert {int(augmentation(pixels, i, epoch=0)[0, 0, 0]) for i in range(50)} == {10}
    assert {int(augmentation(pixels, i, epoch=1)[0, 0, 0]) for i in range(50)} == {10, 245}
    assert {int(augmentation(pixels, i, epoch=0)[0, 0, 0]) for i in range(50)} == {10}


@pytest.mark.parametrize(
    ("schedule", "line"),
    [
        ([], "schedule: must be a list of"),
        ([[0]], r"schedule\[0\]: must be \[epoch, \[1 to 100 operations\]\]"),
        ([[1, [["Invert", 1, None]]]], r"schedule\[0\]: epochs begin with 0 and grow, and here is 1"),
        ([[0, [["Invert", 1, None]]], [0, [["Invert", 1, None]]]], r"schedule\[1\]: epochs begin with 0 and grow"),
        ([[0, [["Invrt", 1, None]]]], r"schedule\[0\]\[0\]: unknown operation 'Invrt'; did you mean 'Invert'"),
        ("mine.txt", "must be a file that ends in"),
    ],
)
def test_faults(schedule: Any, line: str) -> None:
    with pytest.raises(ZoetropeError, match=line):
        load_schedule(schedule)


def test_a_file_becomes_part_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("- [0, [[Rotate, 0.5, 3]]]\n- [2.5, [[Invert, 1, null]]]\n")
    held = inline([{"PopulationBased": {"schedule": "mine.yaml", "p": 0.5}}], tmp_path)
    listed = [[0, [["Rotate", 0.5, 3]]], [2.5, [["Invert", 1, None]]]]
    assert held == [{"PopulationBased": {"schedule": listed, "p": 0.5}}]
