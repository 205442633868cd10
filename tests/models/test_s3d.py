"""S3D: torchvision's names, counts and answers to large clips."""

import hashlib
from typing import Any

import pytest
import torch

import models
from models.complexity import complexity, count_parameters
from tests.models.test_resnet import on_meta


def test_it_is_torchvisions() -> None:
    model = on_meta("s3d", 400)
    assert count_parameters(model) == 8_320_048
    lines = [f"{key.replace('trunk', 'features')} {tuple(value.shape)}" for key, value in model.state_dict().items()]
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == (464, "9ad548ac6bd63bd6")
    assert complexity("s3d", 400).multiply_adds / 1e9 == pytest.approx(17.979, abs=5e-4)


def test_its_weights_have_torchvisions_name_for_the_trunk() -> None:
    own: Any = models.build("s3d", 4, width=8)
    theirs = {key.replace("trunk.", "features."): value + 1 for key, value in own.state_dict().items()}
    assert len(models.load_weights(own, theirs).loaded) == len(theirs)
    assert torch.equal(own.trunk[0][0][0].weight, theirs["features.0.0.0.weight"])


def test_a_large_clip_is_answered_by_the_mean_over_its_windows() -> None:
    """A last map of 3 x 8 x 7 places has four windows of 2 x 7 x 7."""
    torch.manual_seed(0)
    model: Any = models.build("s3d", 4, width=4).eval()
    x = torch.randn(1, 64, 3, 8, 7)
    model.trunk = torch.nn.Identity()
    model.in_channels = 64
    windows = [x[:, :, t : t + 2, y : y + 7].mean((2, 3, 4)) for t in (0, 1) for y in (0, 1)]
    with torch.no_grad():
        torch.testing.assert_close(model.features(x), torch.stack(windows).mean(0))
