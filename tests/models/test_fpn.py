"""FPN by hand, with the layers of detectors, and HorFPN's counts."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.fpn import FILTER_SIZE, FPN, gated
from tests.models.test_resnet import count

PLAIN: dict[str, Any] = {
    "lateral": partial(nn.Conv2d, kernel_size=1),
    "output": partial(nn.Conv2d, kernel_size=3, padding=1),
    "mode": "nearest",
}
R50 = [256, 512, 1024, 2048]


def test_parameters_of_detectors() -> None:
    """As in Faster R-CNN on ResNet-50, and with HorFPN: 249,600 in place of the 590,080 of each 3x3 convolution."""
    with torch.device("meta"):
        assert count(FPN(R50, 256, **PLAIN)) == 3_344_384
        assert count(FPN(R50, 256, **{**PLAIN, "output": gated})) == 3_344_384 - 4 * (590_080 - 249_600)


@pytest.mark.parametrize(("filter_size", "parameters"), [(None, 2_531_840), (FILTER_SIZE, 2_917_760)])
def test_parameters_of_horfpn_in_segmentation(filter_size: tuple[int, int] | None, parameters: int) -> None:
    """Of 2048 channels to 512, with the 1,024 of the batch norm behind it."""
    with torch.device("meta"):
        assert count(gated(2048, 512, filter_size)) + 1_024 == parameters


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def test_coarse_maps_are_added_to_finer_ones() -> None:
    """Laterals double, outputs make ten of one; a size that is no half takes the nearest places."""
    fpn = FPN([1, 1], 1, lateral=lambda *_: Times(2), output=lambda *_: Times(10), mode="nearest")
    fine, coarse = torch.arange(6.0).reshape(1, 1, 2, 3), torch.tensor([[[[100.0, 200.0]]]])
    first, second = fpn([fine, coarse])
    assert second.tolist() == [[[[2000.0, 4000.0]]]]
    assert first.tolist() == [[[[2000.0, 2020.0, 4040.0], [2060.0, 2080.0, 4100.0]]]]
    first, second = fpn([fine, coarse], torch.tensor([[[[1000.0]]]]))
    assert second.tolist() == [[[[12000.0, 14000.0]]]]
    assert first[0, 0, 0].tolist() == [12000.0, 12020.0, 14040.0]


def test_gated_layers_take_another_number_of_channels() -> None:
    torch.manual_seed(0)
    for filter_size in (None, (6, 4)):
        assert gated(12, 4, filter_size)(torch.randn(2, 12, 5, 7)).shape == (2, 4, 5, 7)
