"""A fully connected CRF, which draws the borders of a segmentation along those of the picture.

Kraehenbuehl & Koltun 2011, as DeepLab v1 and v2 use it after the network (Chen et al. 2015, section 4; 2017, section
4.3), by mean field:

    E(x) = sum_i -log p_i(x_i) + sum_{i<j} [x_i != x_j] (bi_w exp(-|i - j|^2 / 2 bi_xy_std^2 - |I_i - I_j|^2 / 2
           bi_rgb_std^2) + pos_w exp(-|i - j|^2 / 2 pos_xy_std^2))

for places i (px) and colours I (0..255). As in the authors' program both kernels K go by the permutohedral lattice and
are normalised to D^-1/2 K D^-1/2, D their row sums, and a pixel is among its own neighbours.
"""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.segmentation.lattice import Lattice

if TYPE_CHECKING:
    from pipeline.recipe.evaluate import Crf

LEAST = 1e-5
"""Smallest probability: the energy of what the network rules out stays finite."""


def refine(probabilities: np.ndarray, pixels: np.ndarray, crf: "Crf") -> np.ndarray:
    """Refine probabilities float [K, H, W] by the picture uint8 [H, W, 3]: float32 [K, H, W]."""
    classes, height, width = probabilities.shape
    likely = np.log(np.clip(probabilities.reshape(classes, -1).T, LEAST, 1).astype(np.float32))
    places = np.indices((height, width))[::-1].reshape(2, -1).T
    colours = pixels.reshape(-1, 3) / crf.bi_rgb_std
    kernels = [
        (crf.bi_w, *_normalised(np.concatenate([places / crf.bi_xy_std, colours], 1))),
        (crf.pos_w, *_normalised(places / crf.pos_xy_std)),
    ]
    said = _softmax(likely)
    for _ in range(crf.iterations):
        said = _softmax(likely + sum(weight * root * kernel(root * said) for weight, kernel, root in kernels))
    return said.T.reshape(classes, height, width)


def _normalised(positions: np.ndarray) -> tuple[Lattice, np.ndarray]:
    """K, and D^-1/2 float32 [N, 1]."""
    kernel = Lattice(positions)
    return kernel, 1 / np.sqrt(kernel(np.ones((len(positions), 1), np.float32)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)
