"""A mask of classes laid over its picture, each class in a colour of its own."""

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

SHARE = 0.55
"""Of the colour, where a class lies over the picture."""


def palette(classes: int) -> UInt8Array:
    """Make colours uint8 [classes, 3] that tell neighbouring numbers apart: PASCAL VOC's colour map.

    Three bits of a number at a time give red, green and blue a bit each, the lowest ones the highest bit. Class 0 is
    black, as a background is.
    """
    numbers = np.arange(classes)
    colours = np.zeros((classes, 3), np.int64)
    for place in range(7, -1, -1):
        for channel in range(3):
            colours[:, channel] |= (numbers >> channel & 1) << place
        numbers = numbers >> 3
    return colours.astype(np.uint8)


def overlay(pixels: UInt8Array, mask: UInt8Array, colours: UInt8Array) -> UInt8Array:
    """Lay a mask uint8 [H, W] over its picture uint8 [H, W, 3] in `colours` [K, 3].

    A black class, and what is none of the K, leave the picture as it is.
    """
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    colour = table[mask]
    mixed = cv2.addWeighted(pixels, 1 - SHARE, colour, SHARE, 0)
    return np.where(colour.any(-1, keepdims=True), mixed, pixels)
