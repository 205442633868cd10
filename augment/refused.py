"""Transforms of albumentations that a recipe cannot use, and why."""

_ON_DEVICE = "pixels stay uint8 until the device normalises them; leave it out"
_NEEDS_DATA = "it needs other images or texts at every call, which a recipe cannot name"
_NEEDS_TARGET = "it needs boxes or masks, which these samples do not have"
_VOLUME = "it is for volumes; a clip's frames are transformed alike by the two-dimensional ones"

REFUSED: dict[str, str] = {
    "Normalize": _ON_DEVICE,
    "ToFloat": _ON_DEVICE,
    "FromFloat": _ON_DEVICE,
    "ToTensorV2": _ON_DEVICE,
    "ToTensor3D": _ON_DEVICE,
    "FDA": _NEEDS_DATA,
    "HistogramMatching": _NEEDS_DATA,
    "PixelDistributionAdaptation": _NEEDS_DATA,
    "Mosaic": "it needs other samples; write mixing: {kind: ricap}, which makes one of four in a batch, boxes and all",
    "OverlayElements": _NEEDS_DATA,
    "TextImage": _NEEDS_DATA,
    "Lambda": "it takes Python functions, which a recipe cannot hold",
    "AtLeastOneBBoxRandomCrop": _NEEDS_TARGET,
    "BBoxSafeRandomCrop": _NEEDS_TARGET,
    "RandomSizedBBoxSafeCrop": _NEEDS_TARGET,
    "RandomIoUCrop": _NEEDS_TARGET,
    "RandomCropNearBBox": "it needs one of a sample's boxes named at every call, which a recipe cannot do",
    "CropNonEmptyMaskIfExists": _NEEDS_TARGET,
    "MaskDropout": _NEEDS_TARGET,
    "ConstrainedCoarseDropout": _NEEDS_TARGET,
    "Transform3D": _VOLUME,
    "Pad3D": _VOLUME,
    "PadIfNeeded3D": _VOLUME,
    "CenterCrop3D": _VOLUME,
    "RandomCrop3D": _VOLUME,
    "CoarseDropout3D": _VOLUME,
    "CubicSymmetry": _VOLUME,
    "Compose": "the list is one already; write Sequential inside OneOf",
    "ReplayCompose": "draws are keyed, so every call can be replayed",
    "OneOrOther": "write OneOf",
    "SelectiveChannelTransform": "it cannot transform clips",
}

NEEDS: dict[str, str] = {
    "AtLeastOneBBoxRandomCrop": "boxes",
    "BBoxSafeRandomCrop": "boxes",
    "RandomSizedBBoxSafeCrop": "boxes",
    "RandomIoUCrop": "boxes",
    "CropNonEmptyMaskIfExists": "mask",
    "MaskDropout": "mask",
    "ConstrainedCoarseDropout": "mask",
}
"""Those that are refused only where this does not ride."""
