"""A sign of life from work on one sample, for whoever waits for it with a limit of time."""

from collections.abc import Callable


def _nobody() -> None:
    """Do nothing: nobody waits."""


_listener: Callable[[], None] = _nobody


def alive() -> None:
    """Tell that the work goes on: another frame was decoded, another block has come."""
    _listener()


def listen(listener: Callable[[], None]) -> None:
    """Have `listener` called at each sign of life in this process."""
    global _listener
    _listener = listener
