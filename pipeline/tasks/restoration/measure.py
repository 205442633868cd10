"""How near restored pictures are to their targets: PSNR of all colours and of brightness, and SSIM of brightness.

n pictures float [n, 3, H, W], whole levels from 0 to 255. `crop` px at each side are not measured, as published figures
leave out what an enlarged picture's border is made of; of a picture too small for that as many as leave one pixel.
"""

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (65.481, 128.553, 24.966)
"""Of ITU-R BT.601, for colours in 0..1; Y is from 16 to 235."""
MOST_DB = 100.0
"""PSNR of pictures that are equal."""
WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def cropped(x: Tensor, crop: int) -> Tensor:
    """Leave out `crop` px at each side."""
    rows, columns = (min(crop, (side - 1) // 2) for side in x.shape[-2:])
    return x[..., rows : x.shape[-2] - rows, columns : x.shape[-1] - columns]


def brightness(x: Tensor) -> Tensor:
    """Y of RGB, float64 [n, 1, H, W], not rounded."""
    weight = torch.tensor(LUMA, dtype=torch.float64, device=x.device) / 255
    return (x.double() * weight[:, None, None]).sum(1, keepdim=True) + 16


def psnr(x: Tensor, target: Tensor) -> Tensor:
    """float64 [n]: 10 log10(255^2 / mean squared error) in dB, at most `MOST_DB`."""
    mse = (x.double() - target.double()).square().mean((1, 2, 3))
    return 10 * torch.log10(255**2 / mse.clamp_min(255**2 / 10 ** (MOST_DB / 10)))


def ssim(x: Tensor, target: Tensor) -> Tensor:
    """float64 [n]: the mean of the structural similarity of [n, 1, H, W] (Wang et al. 2004, equation 13).

    Gaussian windows of 11x11 that lie wholly in the picture, sigma 1.5; covariances are those of a population. Windows
    of a picture that is smaller are as large as it.
    """
    window = min(WINDOW, *(side - 1 + side % 2 for side in x.shape[-2:]))
    places = torch.arange(window, dtype=torch.float64, device=x.device) - window // 2
    line = torch.exp(-places.square() / (2 * SIGMA**2))
    line = line / line.sum()

    def smooth(maps: Tensor) -> Tensor:
        return functional.conv2d(functional.conv2d(maps, line[None, None, :, None]), line[None, None, None])

    x, target = x.double(), target.double()
    mean_x, mean_y = smooth(x), smooth(target)
    var_x, var_y = smooth(x * x) - mean_x**2, smooth(target * target) - mean_y**2
    both = smooth(x * target) - mean_x * mean_y
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.mean((1, 2, 3))


def scores(x: Tensor, target: Tensor, crop: int) -> dict[str, Tensor]:
    """float64 [n] each: `psnr_rgb`, `psnr_y` and `ssim_y`."""
    x, target = cropped(x, crop), cropped(target, crop)
    x_y, target_y = brightness(x), brightness(target)
    return {"psnr_rgb": psnr(x, target), "psnr_y": psnr(x_y, target_y), "ssim_y": ssim(x_y, target_y)}
