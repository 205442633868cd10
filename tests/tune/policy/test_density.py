from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from augment.policy import Policy
from pipeline.tasks import task_of
from pipeline.training.step import Normalize, Running
from tune.policy.density import Density, best_of


def test_best_of_is_taken_sample_by_sample() -> None:
    draws = np.array(
        [
            [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]],
            [[0.2, 0.8], [0.4, 0.6], [0.7, 0.3]],
        ]
    )
    score = best_of(draws, np.array([0, 1, 1]))
    assert score.top1 == pytest.approx(2 / 3)
    assert score.loss == pytest.approx(-np.log([0.9, 0.6, 0.4]).mean())


class BrightSide(nn.Module):
    """Class 0 where the upper half is brighter than the lower."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up, down = x[:, :, : x.shape[2] // 2].mean((1, 2, 3)), x[:, :, x.shape[2] // 2 :].mean((1, 2, 3))
        return 10 * torch.stack([up, down], 1)


@pytest.fixture
def upside_down(make_recipe: Any) -> Density:
    """Pictures that Invert, and nothing else, makes look like what the model knows."""
    recipe = make_recipe("image")
    pixels = np.full((6, 16, 16, 3), 200, np.uint8)
    pixels[:, :8] = 40
    run = Running(BrightSide(), Normalize.of(recipe, torch.device("cpu")), recipe.train)
    task = task_of(recipe, ("up", "down"))
    return Density(recipe, task, run, pixels, np.zeros(6, np.int64), (0,))


@pytest.mark.parametrize(
    ("policy", "low", "high"),
    [
        ([[("Rotate", 1.0, 3.0)]], 0, 0),
        ([[("Invert", 1.0, None)]], 1, 1),
        ([[("Invert", 1.0, None), ("Invert", 1.0, None)]], 0, 0),
        ([[("Invert", 0.3, None)]], 0.4, 1),  # 0.83 expected of the best of five
    ],
)
def test_a_policy_scores_by_what_it_makes_of_samples(
    upside_down: Density, policy: Policy, low: float, high: float
) -> None:
    assert low <= upside_down(policy).top1 <= high
    assert upside_down(policy) == upside_down(policy)
