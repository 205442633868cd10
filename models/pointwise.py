"""1x1 convolutions on a CPU, in the quicker of two libraries."""

from torch import nn


def dilate(model: nn.Module) -> None:
    """Let oneDNN compute the 1x1 convolutions of a model, in place, for a CPU; values stay, up to rounding.

    With a single thread torch gives those of less than 16 samples to MKL, which takes twice as long on AMD, unless they
    are strided or dilated; and dilation means nothing to a kernel of one place.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and {*module.kernel_size, *module.stride} == {1}:
            module.dilation = tuple(2 for _ in module.kernel_size)
