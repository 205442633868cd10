"""Augmentation of samples and clips on the CPU, in uint8; normalisation and mixing happen on the device."""

import os

# albumentations asks the network for its newest version when it is imported; a training job must not.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
