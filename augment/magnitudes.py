"""What a strength of 0 to 1 means for each operation of the AutoAugment family.

| operation | AutoAugment, RandAugment: 0 to 1 | TrivialAugment (wide): 1 | sign |
|---|---|---|---|
| ShearX, ShearY | slope 0 to 0.3 | 0.99 | random |
| TranslateX, TranslateY | 0 to 150/331 of the width or height, in whole px | 32 px | random |
| Rotate | 0 to 30 degrees | 135 | random |
| Brightness, Color, Contrast, Sharpness | factor 1 to 1 +- 0.9 | 1 +- 0.99 | random |
| Posterize | 8 to 4 bits a channel | 2 | |
| Solarize | inverts from grey level 255 to 0 upwards | 0 | |
| Cutout | a square of 0 to 0.2 of the short side | not in its list | |
| AutoContrast, Equalize, Invert | none | none | |

Sources: Cubuk et al. 2019, "AutoAugment", table 6; the numbers are torchvision's (`AutoAugment`, `RandAugment`,
`TrivialAugmentWide`), Cutout's is Fast AutoAugment's (Lim et al. 2019). TensorFlow's two versions differ from these and
from each other: one keeps 4 to 0 bits in Posterize, the other turns Posterize and Solarize around.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Magnitude:
    """The operation's magnitude at strength 0, at 1, and at 1 in TrivialAugment's wide space; linear in between."""

    start: float
    end: float
    wide: float
    signed: bool = False
    """Whether the sign is drawn."""


_SHEAR = Magnitude(0, 0.3, 0.99, signed=True)
_TRANSLATE = Magnitude(0, 150 / 331, 32, signed=True)
_ENHANCE = Magnitude(0, 0.9, 0.99, signed=True)

MAGNITUDES: dict[str, Magnitude | None] = {
    "ShearX": _SHEAR,
    "ShearY": _SHEAR,
    "TranslateX": _TRANSLATE,
    "TranslateY": _TRANSLATE,
    "Rotate": Magnitude(0, 30, 135, signed=True),
    "Brightness": _ENHANCE,
    "Color": _ENHANCE,
    "Contrast": _ENHANCE,
    "Sharpness": _ENHANCE,
    "Posterize": Magnitude(8, 4, 2),
    "Solarize": Magnitude(255, 0, 0),
    "Cutout": Magnitude(0, 0.2, 0.2),
    "AutoContrast": None,
    "Equalize": None,
    "Invert": None,
}

# What RandAugment and TrivialAugment choose from. Their papers' fourteenth is doing nothing.
CHOICES: tuple[str | None, ...] = (None, *(name for name in MAGNITUDES if name not in {"Cutout", "Invert"}))


def argument(name: str, strength: float, sign: int, height: int, width: int, wide: bool = False) -> float:
    """Return what operation `name` is called with at `strength` 0..1 on frames of `height` x `width` px.

    A slope, px, degrees, a factor, bits, a grey level, the side of a square in px; 0 where there is no magnitude.
    `sign` is 1 or -1 and counts only where the sign is drawn. `wide` is TrivialAugment's space.
    """
    magnitude = MAGNITUDES[name]
    if magnitude is None:
        return 0.0
    size = magnitude.start + strength * ((magnitude.wide if wide else magnitude.end) - magnitude.start)
    if magnitude.signed:
        size *= sign
    if name in {"TranslateX", "TranslateY"}:
        return float(int(size if wide else size * (width if name == "TranslateX" else height)))
    if name in {"Brightness", "Color", "Contrast", "Sharpness"}:
        return 1 + size
    if name == "Posterize":
        return float(8 - round(8 - size))
    if name == "Cutout":
        return float(int(size * min(height, width)))
    return size
