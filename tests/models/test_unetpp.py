"""U-Net++: its parameters by hand, who sees whom, sizes, and answers of several nodes."""

from pathlib import Path
from typing import Any

import pytest
import torch

import models
from models.complexity import count_parameters
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize("upsample", ["deconv", "bilinear"])
def test_parameters_by_hand(upsample: str) -> None:
    widths, total = [32, 64, 128, 256, 512], 0
    for j in range(5):
        for i in range(5 - j):
            c = widths[i]
            before = (widths[i - 1] if i else 3) if j == 0 else c * (j + (1 if upsample == "deconv" else 2))
            total += 9 * c * (before + c) + 4 * c
            if j and upsample == "deconv":
                total += 4 * 2 * c * c + c
    assert count_parameters(on_meta("unetpp", 21, upsample=upsample)) == total + 32 * 21 + 21
    supervised = on_meta("unetpp", 21, upsample=upsample, deep_supervision=True)
    assert count_parameters(supervised) == total + 4 * (32 * 21 + 21)


def test_nodes_see_their_level_and_the_one_below() -> None:
    model = on_meta("unetpp", 2, width=4).eval()
    seen: dict[str, Any] = {}
    for name, node in model.get_submodule("nodes").named_children():
        node.register_forward_hook(lambda _, inputs, __, name=name: seen.update({name: tuple(inputs[0].shape[1:])}))
    model(torch.empty(1, 3, 64, 32, device="meta"))
    assert len(seen) == 15
    assert seen["0_0"] == (3, 64, 32)
    assert seen["4_0"] == (32, 4, 2)
    assert seen["0_1"] == (8, 64, 32)  # the first node of its level, and one from below
    assert seen["0_4"] == (20, 64, 32)
    assert seen["1_3"] == (32, 32, 16)


def test_any_size_from_16_px_on() -> None:
    for upsample in ("deconv", "bilinear"):
        model = on_meta("unetpp", 2, width=4, upsample=upsample).eval()
        for size_px in ((16, 16), (17, 31), (47, 33)):
            assert model(torch.empty(1, 3, *size_px, device="meta")).shape[2:] == size_px


def test_deep_supervision() -> None:
    torch.manual_seed(0)
    model: Any = models.build("unetpp", 3, width=4, deep_supervision=True)
    x = torch.randn(2, 3, 33, 32)
    mean, *every = model(x)
    assert len(every) == 4
    torch.testing.assert_close(mean, sum(every) / 4)
    every[0].sum().backward()
    assert model.nodes["1_0"][0].weight.grad is not None
    assert model.nodes["2_0"][0].weight.grad is None
    model.eval()
    assert isinstance(model(x), torch.Tensor)


def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("unetpp", tmp_path)
