from typing import Any

import pytest

from pipeline.training.unreached import unreached

LONG = "schedule.warmup: {} is longer than the training (2ep), so the learning rate never reaches its peak"
LATE = "schedule.at: {} lies beyond the end of the training (2ep)"

FLAT = (
    "schedule.patience: 3 validations, one each 1ep, take longer than the training (2ep), so the learning rate never "
    "falls"
)


@pytest.mark.parametrize(
    ("schedule", "samples", "expected"),
    [
        ({"kind": "cosine", "warmup": "100%"}, 26, []),
        ({"kind": "cosine", "warmup": "200%"}, None, [LONG.format("200%")]),
        ({"kind": "cosine", "warmup": "50ep"}, None, [LONG.format("50ep")]),
        ({"kind": "cosine", "warmup": "7st"}, None, []),  # not known yet
        ({"kind": "cosine", "warmup": "7st"}, 26, [LONG.format("7st")]),  # 2 x 3 batches of 8
        ({"kind": "cosine", "warmup": "6st"}, 26, []),
        ({"kind": "cosine", "warmup": "49sa"}, 26, [LONG.format("49sa")]),
        ({"kind": "step", "at": ["1ep", "3ep", "150%"]}, None, [LATE.format("3ep, 150%")]),
        ({"kind": "step", "at": ["1ep", "2ep"]}, 26, []),
        ({"kind": "step", "at": ["1ep"], "warmup": "3ep"}, 26, [LONG.format("3ep")]),
        ({"kind": "plateau", "patience": 0}, 26, []),
        ({"kind": "plateau", "patience": 1}, 26, [FLAT]),
    ],
)
def test_what_a_training_never_reaches(
    make_recipe: Any, schedule: dict[str, Any], samples: int | None, expected: list[str]
) -> None:
    recipe = make_recipe("image", schedule=schedule)
    assert unreached(recipe.train, recipe.schedule, samples) == expected


def test_a_kept_last_batch_is_a_step(make_recipe: Any) -> None:
    recipe = make_recipe("image", schedule={"kind": "cosine", "warmup": "8st"}, **{"train.keep_last": True})
    assert unreached(recipe.train, recipe.schedule, 26) == []
    assert len(unreached(recipe.train, recipe.schedule, 24)) == 1
