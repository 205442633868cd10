"""Channels of Inception-v1 (Szegedy et al. 2015, "Going deeper with convolutions", table 1), which S3D and I3D have."""

Unit = tuple[int, int, int, int, int, int]
"""Of a 1x1 convolution; of a reduction and the 3x3 behind it; of another pair; and of the one behind a pool."""
# The five stages' units; before the third, fourth and fifth stage the map is pooled.
UNITS: tuple[tuple[Unit, ...], ...] = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def scaled(unit: Unit, width: int) -> Unit:
    """Return a unit's channels where the first convolution has `width` and not 64; none is without a channel."""
    one, reduce3, out3, reduce5, out5, pooled = (max(1, channels * width // 64) for channels in unit)
    return one, reduce3, out3, reduce5, out5, pooled


def gives(unit: Unit) -> int:
    """Return how many channels a unit gives, its four branches beside each other."""
    return unit[0] + unit[2] + unit[4] + unit[5]
