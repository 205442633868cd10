from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from augment.policy import load_schedule
from pipeline.base.keyed import generator
from pipeline.shards.dataset import Dataset
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tune.policy.population import (
    explore,
    explored,
    most,
    numbers_of,
    point,
    schedule_of,
    steps_in,
    steps_of,
    transform,
)
from tune.policy.recipes import with_transform
from tune.policy.space import OPERATIONS
from tune.space import changed


class Told:
    """Answers as it is told."""

    def __init__(self, shares: list[float], numbers: list[int]) -> None:
        self.shares, self.numbers, self.asked = shares, numbers, list[int]()

    def random(self) -> float:
        return self.shares.pop(0)

    def integers(self, below: int) -> int:
        self.asked.append(below)
        return self.numbers.pop(0)


def test_the_rule_known_answers() -> None:
    # probability drawn anew; magnitude up by 3 to its end; probability down by 2; magnitude down by 3 to its end
    rng: Any = Told([0.19, 0.2, 0.4, 0.9, 0.5, 0.9, 0.9], [10, 3, 2, 3])
    assert explore([0, 8, 5, 1], rng) == [10, 9, 3, 0]
    assert rng.asked == [11, 4, 4, 4]


def test_the_rule_in_numbers() -> None:
    """From the middle, a move reaches -3 to 3; 0 comes twice as often, and one in five is drawn from all."""
    rng = generator("pba")
    start = [5, 5] * 30
    found = [explore(start, rng) for _ in range(400)]
    for parity in (0, 1):
        counts = Counter(number for numbers in found for number in numbers[parity::2])
        values = most(parity) + 1
        assert set(counts) == set(range(values))
        for number, count in counts.items():
            near = {0: 0.25, 1: 0.125, 2: 0.125, 3: 0.125}.get(abs(number - 5), 0.0)
            expected = 0.2 / values + 0.8 * near
            assert abs(count / 12_000 - expected) < 0.02, (parity, number)


def test_numbers_and_operations() -> None:
    numbers = (np.arange(60) % 10).tolist()
    steps = steps_of(numbers)
    assert [name for name, _, _ in steps] == [*OPERATIONS, *OPERATIONS]
    assert steps[1] == ("ShearY", 0.2, 3)
    assert next(step for step in steps if step[0] == "Invert")[2] is None
    assert load_schedule([[0, steps]]) == [(0, steps)]
    again = numbers_of(steps)
    assert again[::2] == numbers[::2]
    assert steps_of(again) == steps
    assert all(probability == 0 for _, probability, _ in steps_of([0] * 60))


def test_a_trial_that_is_replaced(make_recipe: Any) -> None:
    recipe = make_recipe("image")
    values = point(recipe, [0] * 60)
    assert values["augment.train"][:2] == recipe.augment.train
    moved = explored(recipe, values, 3, 1)
    assert moved == explored(recipe, values, 3, 1)
    assert moved != explored(recipe, values, 3, 2) != explored(recipe, values, 4, 2)
    changed = [after for after in numbers_of(steps_in(moved)) if after]
    assert len(changed) > 15


def test_a_schedule_trains_to_what_the_trials_came_to_that_it_was_made_of(
    images: Dataset, make_recipe: Any, tmp_path: Path
) -> None:
    """One trial trains an epoch; another goes on from its checkpoint, with other operations. Bit for bit."""
    recipe = make_recipe("image", **{"train.duration": "3ep", "train.checkpoint": "1ep"})
    first, then = (point(recipe, generator("operations", trial).integers(10, size=60).tolist()) for trial in range(2))

    def keep_first(step: int, state: Any, metrics: dict[str, float]) -> None:
        if step == 3:
            state.save(tmp_path)

    alone = train(changed(recipe, first), images, Process(), lambda *points: None, keep_first)
    replaced = train(changed(recipe, then), images, Process(), lambda *points: None, lambda *saved: None, tmp_path)
    schedule = schedule_of([{"epoch": 0.0, "values": first}, {"epoch": 1.0, "values": then}])
    found = with_transform(recipe, transform(recipe, schedule))
    again = train(found, images, Process(), lambda *points: None, lambda *saved: None)
    assert again == replaced != alone


def test_the_schedule_of_a_history(make_recipe: Any) -> None:
    recipe = make_recipe("image")
    one, two, three = (point(recipe, [number] * 60) for number in (1, 2, 3))
    history = [{"epoch": 0.0, "values": one}, {"epoch": 2.5, "values": two}, {"epoch": 2.5, "values": three}]
    assert schedule_of(history) == [(0.0, steps_in(one)), (2.5, steps_in(three))]
