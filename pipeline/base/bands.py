"""Channels and depth of a data set's pictures: the one place that knows what follows from them."""

from typing import NamedTuple

COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}
"""What so many channels are; any other number is bands, whose meaning the data alone know."""
MAX_CHANNELS = 256


class Bands(NamedTuple):
    """Pictures are arrays [H, W, channels], also of one channel, of whole levels from 0 to `white`."""

    channels: int = 3
    bits: int = 8

    @property
    def dtype(self) -> str:
        """Of the pixels, as numpy and torch call it."""
        return f"uint{self.bits}"

    @property
    def white(self) -> int:
        """The highest level: what mean and standard deviation are shares of."""
        return (1 << self.bits) - 1

    @property
    def colours(self) -> str:
        """What the channels are: "grey", "RGB", "RGBA", or "5 bands"."""
        return COLOURS.get(self.channels, f"{self.channels} bands")

    @property
    def as_files(self) -> bool:
        """Whether they are stored as ordinary pictures, which all readers know; others are stored as arrays."""
        return self.bits == 8 and self.channels in COLOURS

    def __str__(self) -> str:
        return f"{self.colours} of {self.bits} bits"


RGB = Bands()
"""What pictures are where a recipe says nothing, and what frames of videos always are."""
