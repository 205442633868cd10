import torch

from models.ops.anchors import anchors, shapes


def test_shapes_are_torchvisions() -> None:
    assert shapes(32).tolist() == [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
    wide = shapes(512)
    area = (wide[:, 2:] - wide[:, :2]).prod(1)
    torch.testing.assert_close(area, torch.full((3,), 512.0**2), rtol=5e-3, atol=0)


def test_places_lie_row_by_row_from_the_corner_on() -> None:
    """A map of a max pool over five places has three, 53 px apart in 160 px and not 64."""
    found = anchors([(2, 3), (3, 3)], (160, 160), (32, 64))
    assert found.shape == (3 * (6 + 9), 4)
    middle = (found[:, :2] + found[:, 2:]) / 2
    assert middle[1:18:3].tolist() == [[x, y] for y in (0, 80) for x in (0, 53, 106)]
    assert middle[19::3].tolist() == [[x, y] for y in (0, 53, 106) for x in (0, 53, 106)]
    assert found[18 + 3 * 4].tolist() == [53 - 45, 53 - 23, 53 + 45, 53 + 23]
