"""PSNR and SSIM: known answers, and those of scikit-image 0.26."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.tasks.restoration.measure import MOST_DB, brightness, cropped, psnr, scores, ssim


def pair() -> tuple[Tensor, Tensor]:
    """A picture of noise, and it with other noise over it: [1, 3, 24, 30]."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)
    noisy = np.clip(target.astype(int) + rng.integers(-30, 31, target.shape), 0, 255)
    return torch.from_numpy(noisy).movedim(-1, 0)[None].float(), torch.from_numpy(target).movedim(-1, 0)[None].float()


@pytest.mark.parametrize(
    ("crop", "psnr_rgb", "psnr_y", "ssim_y"),
    [
        (0, 23.56647546458514, 28.53336731732228, 0.9727151938743398),
        (2, 23.57645901560322, 28.53338727892996, 0.9724951402352957),
        (4, 23.5434954043297, 28.319587373532332, 0.9706305837347013),
    ],
)
def test_as_scikit_image(crop: int, psnr_rgb: float, psnr_y: float, ssim_y: float) -> None:
    """peak_signal_noise_ratio, rgb2ycbcr, and structural_similarity with gaussian_weights, sigma 1.5 and covariances
    of a population.
    """
    found = scores(*pair(), crop)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {"psnr_rgb": psnr_rgb, "psnr_y": psnr_y, "ssim_y": ssim_y}, rel=1e-9
    )


def test_psnr_known_answers() -> None:
    """A difference of 1 everywhere is 48.13 dB; none at all is said to be 100."""
    target = torch.full((2, 3, 4, 5), 100.0)
    said = target.clone()
    said[0] += 1
    assert psnr(said, target).tolist() == [pytest.approx(48.1308036), MOST_DB]


def test_brightness_of_white_is_235() -> None:
    colours = torch.tensor([[0.0, 0, 0], [255, 255, 255], [255, 0, 0]]).T.reshape(1, 3, 3, 1)
    torch.testing.assert_close(brightness(colours).flatten(), torch.tensor([16, 235, 81.481], dtype=torch.float64))


@pytest.mark.parametrize("size", [(1, 1), (3, 30), (10, 10), (12, 5)])
def test_small_pictures_are_measured_by_what_they_have(size: tuple[int, int]) -> None:
    x = torch.rand(2, 1, *size) * 255
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64))
    assert cropped(x, 4).numel() > 0
