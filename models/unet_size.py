"""Which sizes U-Nets take, and the unpadded one gives (Ronneberger et al. 2015). No torch here."""

MARGIN_PX = 92
"""What the unpadded network's logits are smaller on each side: 572 px give 388."""
LEAST_PX = 16
"""Side of the padded networks' input, of which four poolings leave one place."""
SMALLEST_PX = 188
"""Of the unpadded network, for 4 px of logits."""


def valid_size(n_px: int) -> int:
    """Round a side up to one that the unpadded network takes: 16 p + 60 px, p >= 8, so 188, 204, ... 572.

    With these every pooling finds an even size (section 3). Logits of n px need `valid_size(n + 2 * MARGIN_PX)`.
    """
    return max(SMALLEST_PX, -(-(n_px - 60) // 16) * 16 + 60)
