import pytest
import torch
from torch import nn

from pipeline.training.ema import average, decay_at


def test_the_decay_starts_small() -> None:
    assert [decay_at(step, 0.9) for step in (1, 2, 10)] == pytest.approx([2 / 11, 3 / 12, 11 / 20])
    assert decay_at(1000, 0.9) == 0.9
    assert decay_at(1, 0.1) == 0.1


def test_known_averages_and_buffers_that_follow() -> None:
    model = nn.BatchNorm1d(1)
    ema = average(model, 0.9)
    values = []
    for step, value in enumerate((2.0, 4.0, 8.0)):
        nn.init.constant_(model.weight, value)
        assert model.running_mean is not None
        model.running_mean.fill_(step)
        ema.update_parameters(model)
        values.append(ema.module.state_dict()["weight"].item())
    # The first is copied; then 2 / 11 and 3 / 12 of the old stay
    second = 2 * 2 / 11 + 4 * 9 / 11
    assert values == pytest.approx([2, second, second * 3 / 12 + 8 * 9 / 12])
    assert ema.module.state_dict()["running_mean"].item() == 2


def test_goes_on_from_its_state() -> None:
    model = nn.Linear(2, 2)
    first, second = average(model, 0.5), average(nn.Linear(2, 2), 0.5)
    for ema in (first, first, first):
        nn.init.normal_(model.weight, generator=torch.Generator().manual_seed(5))
        ema.update_parameters(model)
    second.load_state_dict(first.state_dict())
    nn.init.ones_(model.weight)
    for ema in (first, second):
        ema.update_parameters(model)
    assert torch.equal(first.module.state_dict()["weight"], second.module.state_dict()["weight"])
