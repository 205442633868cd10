import pytest
import torch
from torch import nn

from pipeline.recipe.schema import AdamW, Sgd
from pipeline.training.optimizer import OPTIMIZERS, parameter_groups, set_lr


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_weights_decay_and_biases_and_norms_do_not() -> None:
    net = model()
    decayed, others = parameter_groups(net, 0.3)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    assert [names[id(p)] for p in decayed["params"]] == ["0.weight", "3.weight"]
    assert [names[id(p)] for p in others["params"]] == ["0.bias", "1.weight", "1.bias", "3.bias"]


def test_frozen_parameters_are_left_out() -> None:
    net = model()
    net[0].weight.requires_grad_(False)  # type: ignore[index]
    assert len(parameter_groups(net, 0.1)[0]["params"]) == 1


def test_options_arrive() -> None:
    sgd = OPTIMIZERS["sgd"](model(), Sgd(kind="sgd", lr=0.2, momentum=0.8, nesterov=True, weight_decay=0.01))
    assert type(sgd) is torch.optim.SGD
    assert sgd.param_groups[0] | {"params": 0} == sgd.param_groups[0] | {
        "params": 0,
        "lr": 0.2,
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 0.01,
    }
    adamw = OPTIMIZERS["adamw"](model(), AdamW(kind="adamw", lr=0.003, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.2))
    assert type(adamw) is torch.optim.AdamW
    group = adamw.param_groups[0]
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (0.003, (0.8, 0.99), 1e-6, 0.2)


def test_set_lr_reaches_every_group() -> None:
    optimizer = OPTIMIZERS["sgd"](model(), Sgd(kind="sgd"))
    set_lr(optimizer, 0.7)
    assert [group["lr"] for group in optimizer.param_groups] == [0.7, 0.7]
    net = nn.Linear(1, 1, bias=False)
    plain = OPTIMIZERS["sgd"](net, Sgd(kind="sgd", momentum=0.0, weight_decay=0.0))
    before = net.weight.item()
    net.weight.grad = torch.ones(1, 1)
    set_lr(plain, 0.5)
    plain.step()
    assert net.weight.item() == pytest.approx(before - 0.5)
