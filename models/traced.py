"""Whether a forward pass is only looked at, by who makes a graph of it."""

import torch


def is_traced() -> bool:
    """Tell whether an exporter or a compiler makes a graph of what runs, of which no gradient will be asked.

    Then plain operations are worth more than quick ones: writes into slices become a chain of scatters, with which
    an exporter to ONNX does not come to an end.
    """
    return torch.compiler.is_compiling() and not torch.is_grad_enabled()
