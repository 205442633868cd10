from typing import Any

import pytest
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.training.distributed import Process
from pipeline.training.freeze import freeze, frozen
from pipeline.training.learner import Learner
from pipeline.training.model import build_model

NAMES = ["conv1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "fc.weight", "fc.bias"]


def test_patterns_are_over_whole_names() -> None:
    assert frozen(NAMES, []) == []
    assert frozen(NAMES, ["layer1.*", "fc.bias"]) == ["layer1.0.conv1.weight", "layer1.0.bn1.weight", "fc.bias"]
    assert frozen(NAMES, ["*conv1.weight"]) == ["conv1.weight", "layer1.0.conv1.weight"]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("conv1.weigth", "unknown parameter 'conv1.weigth'; did you mean 'conv1.weight'"),
        ("layer9.*", "unknown parameter 'layer9.*'; did you mean 'layer1.*'"),
        ("0.bn1.*", "unknown parameter '0.bn1.*'; did you mean '*.0.bn1.*'?; `*` stands for any letters"),
        ("encoder.*", "unknown parameter 'encoder.*'; known are: conv1.*, fc.*, layer1.*; `*` stands for any letters"),
    ],
)
def test_a_pattern_that_fits_nothing_is_answered_with_the_nearest_names(pattern: str, says: str) -> None:
    with pytest.raises(ZoetropeError) as caught:
        frozen(NAMES, ["fc.*", pattern])
    assert str(caught.value).startswith(f"train.freeze: {says}")


def test_something_is_left_to_train() -> None:
    with pytest.raises(ZoetropeError, match=r"train.freeze: fits every parameter, so nothing is left to train"):
        frozen(NAMES, ["*"])


def test_norms_are_frozen_where_all_their_parameters_are(make_recipe: Any) -> None:
    model = build_model(make_recipe("image"), 3)
    assert freeze(model, []) == ()
    assert all(parameter.requires_grad for parameter in model.parameters())
    norms = freeze(model, ["bn1.weight", "layer1.0.*"])  # bn1 keeps a bias that learns
    names = {id(module): name for name, module in model.named_modules()}
    assert [names[id(norm)] for norm in norms] == ["layer1.0.bn1", "layer1.0.bn2"]
    stay = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert stay[0] == "bn1.weight"
    assert {name.rpartition(".")[0].partition(".")[0] for name in stay[1:]} == {"layer1"}


def test_a_learner_neither_decays_nor_trains_what_is_frozen(make_recipe: Any) -> None:
    recipe = make_recipe("image", **{"train.freeze": ["layer*", "bn1.*"], "optimizer.weight_decay": 0.1})
    learner = Learner.of(recipe, ("blue", "green", "red"), Process())
    learned = [id(p) for group in learner.optimizer.param_groups for p in group["params"]]
    names = [name for name, parameter in learner.model.named_parameters() if id(parameter) in learned]
    assert names == ["conv1.weight", "fc.weight", "fc.bias"]
    learner.start_step(learner.model)
    modes = {name: module.training for name, module in learner.model.named_modules()}
    assert (modes["bn1"], modes["layer4.1.bn2"], modes["fc"], modes["layer1"]) == (False, False, True, True)
    mean = learner.model.get_buffer("bn1.running_mean").clone()
    learner.model(torch.rand(2, 3, 16, 16))
    assert torch.equal(learner.model.get_buffer("bn1.running_mean"), mean)
