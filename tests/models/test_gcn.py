"""GCN: the published counts, what its kernels see, and in what the port differs."""

from pathlib import Path
from typing import Any

import pytest
import torch

import models
from models.complexity import count_parameters
from models.gcn import BoundaryRefine, GlobalConv
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("gcn_resnet50", 25_394_294), ("gcn_resnet101", 44_386_422), ("gcn_resnet152", 60_030_070)],
)
def test_parameters_of_the_port(name: str, parameters: int) -> None:
    """With kernels of 11; the names and shapes are in `weights/test_layouts.py`."""
    assert count_parameters(on_meta(name, 21, variant="yassouali")) == parameters


@pytest.mark.parametrize(("kernel", "convolutions"), [(7, 1_153_992), (11, 1_813_224), (15, 2_472_456)])
def test_parameters(kernel: int, convolutions: int) -> None:
    """Of the large kernels, and of nine parts that refine boundaries; beside them there is the ResNet."""
    model = on_meta("gcn_resnet152", 21, kernel=kernel)
    trunk = 60_192_808 - 2048 * 1000 - 1000
    assert count_parameters(model) == trunk + convolutions + 9 * 7_980
    assert count_parameters(BoundaryRefine(21, unused_norms=False)) == 7_980


def test_default_kernels() -> None:
    def kernel(**options: Any) -> Any:
        return on_meta("gcn_resnet50", 2, **options).get_submodule("classifier.gcn1.conv11").kernel_size

    assert (kernel(), kernel(kernel=7), kernel(variant="yassouali")) == ((15, 1), (7, 1), (11, 1))


def test_a_place_sees_a_square() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 21, 21, requires_grad=True)
    gradient = torch.autograd.grad(GlobalConv(3, 2, 7)(x)[0, :, 10, 10].sum(), x)[0].abs().sum((0, 1))
    assert gradient[7:14, 7:14].ne(0).all()
    assert gradient.ne(0).sum() == 49


def test_refining_starts_from_what_is_there() -> None:
    torch.manual_seed(0)
    refine, x = BoundaryRefine(3, unused_norms=False), torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(refine(x), x + refine.conv2(refine.conv1(x).clamp(0)))


@pytest.mark.parametrize(("options", "sides"), [({}, [33, 65]), ({"variant": "yassouali"}, [17, 65])])
def test_where_boundaries_are_refined(options: dict[str, Any], sides: list[int]) -> None:
    """The paper's eighth part is at half of the picture, the port's at a quarter."""
    model = on_meta("gcn_resnet50", 2, width=4, **options).eval()
    seen = []
    for part in ("br8", "br9"):
        hook: Any = lambda _, __, y: seen.append(y.shape[2])  # noqa: E731
        model.get_submodule(f"classifier.{part}").register_forward_hook(hook)
    model(torch.empty(1, 3, 65, 64, device="meta"))
    assert seen == sides


def test_norms_that_are_not_used_learn_nothing() -> None:
    torch.manual_seed(0)
    model: Any = models.build("gcn_resnet50", 2, width=4, variant="yassouali")
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    without = [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert not model.classifier.br1.bn1.weight.requires_grad


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("gcn_resnet50", tmp_path)
