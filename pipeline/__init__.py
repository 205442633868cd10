"""The pipeline: raw videos and images in, a trained and tracked model out.

From Python: `pipeline.run`, `pipeline.plan` and `pipeline.load_model`, see docs/python.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.api import load_model, plan, run

__all__ = ["load_model", "plan", "run"]


def __getattr__(name: str) -> Any:
    """Load what is offered when it is asked for: every process imports this package, and few want it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("pipeline.api"), name)
