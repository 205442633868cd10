"""Official weights that a drafted recipe starts from."""

from pipeline.tasks.suited import Start


def start_of(kind: str) -> Start | None:
    """Return the official weights of a model that can be had on this machine; None for none."""
    return None
