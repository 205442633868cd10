"""Our own transforms, by the names that recipes use beside albumentations'."""

import albumentations as A

from augment.auto import AutoAugment, RandAugment, TrivialAugment
from augment.boxes import RandomIoUCrop, RandomZoomOut
from augment.erase import Cutout, RandomErasing
from augment.pca import PCAColor
from augment.population import PopulationBased
from augment.single import (
    Brightness,
    Color,
    Contrast,
    PillowAutoContrast,
    PillowEqualize,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
)

OWN: dict[str, type[A.BasicTransform]] = {
    "AutoAugment": AutoAugment,
    "RandAugment": RandAugment,
    "TrivialAugment": TrivialAugment,
    "PopulationBased": PopulationBased,
    "Cutout": Cutout,
    "RandomErasing": RandomErasing,
    "RandomIoUCrop": RandomIoUCrop,
    "RandomZoomOut": RandomZoomOut,
    "PCAColor": PCAColor,
    "ShearX": ShearX,
    "ShearY": ShearY,
    "TranslateX": TranslateX,
    "TranslateY": TranslateY,
    "Brightness": Brightness,
    "Color": Color,
    "Contrast": Contrast,
    "Sharpness": Sharpness,
    "PillowEqualize": PillowEqualize,
    "PillowAutoContrast": PillowAutoContrast,
}
