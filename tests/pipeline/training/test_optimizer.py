from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.optimizers import AdaBound, AdamW, RmsProp, Sgd
from pipeline.training.optimizer import add_l1, lr_factors, make_optimizer, parameter_groups, set_lr


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def names_in(group: dict[str, Any], net: nn.Module) -> list[str]:
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return [names[id(p)] for p in group["params"]]


def test_weights_decay_and_biases_and_norms_do_not() -> None:
    net = model()
    decayed, others = parameter_groups(net, Sgd(kind="sgd", weight_decay=0.3))
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert names_in(decayed, net) == ["0.weight", "3.weight"]
    assert names_in(others, net) == ["0.bias", "1.weight", "1.bias", "3.bias"]


def test_embeddings_do_not_decay() -> None:
    net = models.build("timesformer_base", 2, depth=1, width=8, heads=2, size_px=16)
    groups = parameter_groups(net, AdamW(kind="adamw"))
    (others,) = (names_in(group, net) for group in groups if group["weight_decay"] == 0)
    assert {"cls_token", "pos_embed", "time_embed", "norm.weight"} <= set(others)
    assert "patch_embed.proj.weight" not in others


def test_biases_may_be_apart() -> None:
    net = model()
    groups = parameter_groups(net, Sgd(kind="sgd", weight_decay=0.3), biases_apart=True)
    assert [(names_in(group, net), "biases" in group) for group in groups] == [
        (["0.weight", "3.weight"], False),
        (["0.bias", "1.bias", "3.bias"], True),
        (["1.weight"], False),
    ]
    optimizer = make_optimizer(net, Sgd(kind="sgd", lr_factors={"3.*": 10}), biases_apart=True)
    set_lr(optimizer, 0.1, bias_lr=0.5, momentum=0.8)
    rates = {name: group["lr"] for group in optimizer.param_groups for name in names_in(group, net)}
    assert rates == pytest.approx(
        {"0.weight": 0.1, "1.weight": 0.1, "3.weight": 1.0, "0.bias": 0.5, "1.bias": 0.5, "3.bias": 5.0}
    )
    assert {group["momentum"] for group in optimizer.param_groups} == {0.8}
    set_lr(optimizer, 0.1)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1, 1.0}


def test_by_choice_all_decay() -> None:
    (group,) = parameter_groups(model(), Sgd(kind="sgd", weight_decay=0.3, decay_all=True))
    assert (len(group["params"]), group["weight_decay"]) == (6, 0.3)


def test_frozen_parameters_are_left_out() -> None:
    net = model()
    net.get_parameter("0.weight").requires_grad_(False)
    assert names_in(parameter_groups(net, Sgd(kind="sgd"))[1], net) == ["3.weight"]


def test_factors_by_name_and_by_depth() -> None:
    names = ["conv1.weight", "layer1.0.conv1.weight", "layer1.1.conv1.weight", "fc.weight", "fc.bias"]
    assert lr_factors(names, {}, 1.0) == dict.fromkeys(names, 1.0)
    factors = lr_factors(names, {"fc.bias": 20, "fc.*": 10, "conv1.*": 5}, 0.5)
    assert factors == {
        "conv1.weight": 5 / 8,
        "layer1.0.conv1.weight": 1 / 4,
        "layer1.1.conv1.weight": 1 / 2,
        "fc.weight": 10,
        "fc.bias": 20,
    }


def test_a_name_that_fits_nothing_is_answered_with_the_nearest() -> None:
    with pytest.raises(ZoetropeError, match=r"optimizer.lr_factors: unknown parameter 'fc.weigth'.*fc.weight"):
        lr_factors(["conv1.weight", "fc.weight"], {"fc.weigth": 10}, 1.0)


def test_options_arrive() -> None:
    sgd = make_optimizer(model(), Sgd(kind="sgd", lr=0.2, momentum=0.8, nesterov=True, weight_decay=0.01))
    assert type(sgd) is torch.optim.SGD
    group = sgd.param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.2, 0.8, True, 0.01)
    adamw = make_optimizer(model(), AdamW(kind="adamw", lr=0.003, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.2))
    assert type(adamw) is torch.optim.AdamW
    group = adamw.param_groups[0]
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (0.003, (0.8, 0.99), 1e-6, 0.2)
    rmsprop = make_optimizer(model(), RmsProp(kind="rmsprop", lr=0.02, alpha=0.8, eps=1.0, momentum=0.5))
    assert type(rmsprop) is torch.optim.RMSprop
    group = rmsprop.param_groups[0]
    assert (group["lr"], group["alpha"], group["eps"], group["momentum"]) == (0.02, 0.8, 1.0, 0.5)


def test_set_lr_reaches_every_group_with_its_factor() -> None:
    optimizer = make_optimizer(model(), Sgd(kind="sgd", lr_factors={"3.*": 10}))
    set_lr(optimizer, 0.7)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.7, 0.7, 7.0, 7.0]
    net = nn.Linear(1, 1, bias=False)
    plain = make_optimizer(net, Sgd(kind="sgd", momentum=0.0, weight_decay=0.0))
    before = net.weight.item()
    net.weight.grad = torch.ones(1, 1)
    set_lr(plain, 0.5)
    plain.step()
    assert net.weight.item() == pytest.approx(before - 0.5)


def test_nesterov_known_steps() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    optimizer = make_optimizer(net, Sgd(kind="sgd", lr=1.0, momentum=0.5, nesterov=True, weight_decay=0.0))
    values = []
    for _ in range(3):
        net.weight.grad = torch.ones(1, 1)
        optimizer.step()
        values.append(net.weight.item())
    # v = 1, 1.5, 1.75; step = g + 0.5 v
    assert values == pytest.approx([-1.5, -1.5 - 1.75, -1.5 - 1.75 - 1.875])


def adabound_by_formula(gradients: list[Tensor], lrs: list[float], options: AdaBound) -> Tensor:
    """Luo et al. 2019, algorithms 2 and 3, in float64, from parameters of 1."""
    first, second = options.betas
    p = torch.ones_like(gradients[0], dtype=torch.float64)
    m = v = largest = torch.zeros_like(p)
    for t, (gradient, lr) in enumerate(zip(gradients, lrs, strict=True), start=1):
        g = gradient.double() + options.weight_decay * p
        m, v = first * m + (1 - first) * g, second * v + (1 - second) * g**2
        largest = torch.maximum(largest, v)
        size = lr * (1 - second**t) ** 0.5 / (1 - first**t)
        final = options.final_lr * lr / options.lr
        lower, upper = final * (1 - 1 / (options.gamma * t + 1)), final * (1 + 1 / (options.gamma * t))
        root = (largest if options.amsbound else v).sqrt() + options.eps
        p = p - (size / root).clamp(lower, upper) * m
    return p


@pytest.mark.parametrize("amsbound", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adabound_is_its_formula_while_the_learning_rate_changes(amsbound: bool, weight_decay: float) -> None:
    options = AdaBound(kind="adabound", amsbound=amsbound, weight_decay=weight_decay, gamma=0.1, decay_all=True)
    generator = torch.Generator().manual_seed(3)
    gradients = [torch.randn(7, generator=generator) * 10 ** (-step % 4) for step in range(50)]
    lrs = [1e-3 * (1 - step / 60) for step in range(50)]
    net = nn.Module()
    net.weight = nn.Parameter(torch.ones(7))
    optimizer = make_optimizer(net, options)
    for gradient, lr in zip(gradients, lrs, strict=True):
        net.weight.grad = gradient.clone()
        set_lr(optimizer, lr)
        optimizer.step()
    expected = adabound_by_formula(gradients, lrs, options)
    assert (net.weight.detach().double() - expected).abs().max() < 1e-6 * max(1, float(expected.abs().max()))


def test_adabound_goes_on_from_its_state() -> None:
    def run(steps: range, state: Any = None) -> tuple[Tensor, Any]:
        net = nn.Linear(3, 1, bias=False)
        optimizer = make_optimizer(net, AdaBound(kind="adabound", gamma=0.1))
        nn.init.ones_(net.weight)
        if state is not None:
            net.load_state_dict(state[0])
            optimizer.load_state_dict(state[1])
        for step in steps:
            net.weight.grad = torch.full((1, 3), 1.0 + step)
            set_lr(optimizer, 1e-3 / (1 + step))
            optimizer.step()
        return net.weight.detach(), (net.state_dict(), optimizer.state_dict())

    whole, _ = run(range(10))
    _, state = run(range(4))
    assert torch.equal(run(range(4, 10), state)[0], whole)


def test_l1_adds_the_sign_of_weights_alone() -> None:
    net = nn.Linear(3, 1)
    net.weight.data = torch.tensor([[2.0, -3.0, 0.0]])
    net.bias.data.fill_(4.0)
    optimizer = make_optimizer(net, Sgd(kind="sgd", weight_decay=0.0))
    net.weight.grad, net.bias.grad = torch.ones(1, 3), torch.ones(1)
    add_l1(optimizer, 0.5)
    assert net.weight.grad.tolist() == [[1.5, 0.5, 1.0]]
    assert net.bias.grad.tolist() == [1.0]
