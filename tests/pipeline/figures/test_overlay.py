import numpy as np

from pipeline.figures.overlay import overlay, palette


def test_the_colours_are_pascal_vocs() -> None:
    known = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert palette(7).tolist() == [list(colour) for colour in known]
    assert palette(21)[20].tolist() == [0, 64, 128]
    assert len(np.unique(palette(255), axis=0)) == 255


def test_a_mask_is_laid_over() -> None:
    pixels = np.full((4, 6, 3), 100, np.uint8)
    mask = np.zeros((4, 6), np.uint8)
    mask[:, 3:] = 1
    mask[:, 5] = 255
    seen = overlay(pixels, mask, palette(2))
    assert (seen[:, :3] == 100).all()  # black: the picture as it is
    assert seen[0, 4].tolist() == [115, 45, 45]  # 0.45 * 100 + 0.55 * (128, 0, 0)
    assert (seen[:, 5] == 100).all()  # ignored
    assert (pixels == 100).all()
