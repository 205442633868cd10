"""C3D: c3d-pytorch's names and counts, and clips of other sizes than its linear layers are of."""

from typing import Any

import pytest
import torch

import models
from models.c3d import averaged
from models.complexity import count_parameters
from tests.models.test_resnet import digest, on_meta


@pytest.mark.parametrize(("classes", "parameters"), [(487, 79_991_015), (101, 78_409_573)])
def test_parameters(classes: int, parameters: int) -> None:
    assert count_parameters(on_meta("c3d", classes)) == parameters


def test_names_are_c3d_pytorchs() -> None:
    assert digest(on_meta("c3d", 487)) == (22, "413130fde3ae190b")


def test_the_last_map_of_16_frames_of_112_px_is_what_the_linear_layers_take() -> None:
    with torch.device("meta"):
        model: Any = models.build("c3d", 4)
        x = torch.empty(2, 3, 16, 112, 112)
        sizes = []
        model.fc6.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape)))
        for pool in model.pools:
            channels = {3: 64, 64: 128, 128: 256, 256: 512, 512: 512}[x.shape[1]]
            x = pool(x.new_empty(2, channels, *x.shape[2:]))
        model(torch.empty(2, 3, 16, 112, 112))
    assert (tuple(x.shape), sizes) == ((2, 512, 1, 4, 4), [(2, 8192)])


@pytest.mark.parametrize("places", [(1, 4, 4), (1, 8, 8), (2, 7, 5), (1, 1, 3), (1, 2, 1)])
def test_other_maps_are_averaged_as_torch_does(places: tuple[int, int, int]) -> None:
    x = torch.randn(2, 3, *places)
    expected = torch.nn.functional.adaptive_avg_pool3d(x, (1, 4, 4))
    torch.testing.assert_close(averaged(x, (1, 4, 4)), expected)
