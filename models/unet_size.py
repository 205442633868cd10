"""Which sizes the unpadded U-Net takes and gives (Ronneberger et al. 2015). No torch here."""

MARGIN_PX = 92
"""What the unpadded network's logits are smaller on each side: 572 px give 388."""
SMALLEST_PX = 188
"""Of the unpadded network, for 4 px of logits."""


def valid_size(n_px: int) -> int:
    """Round a side up to one that the unpadded network takes: 16 p + 60 px, p >= 8, so 188, 204, ... 572.

    With these every pooling finds an even size (section 3). Logits of n px need `valid_size(n + 2 * MARGIN_PX)`.
    """
    return max(SMALLEST_PX, -(-(n_px - 60) // 16) * 16 + 60)
