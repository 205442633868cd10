"""Names that MLflow takes for metrics and parameters."""

import re

LONGEST_NAME = 250
FORBIDDEN = re.compile(r"[^\w\-./: ]")


def mlflow_name(name: str) -> str:
    """Return `name` with what MLflow refuses replaced by `_`, cut to its 250 characters.

    MLflow also refuses names that change when they are read as a path (`/a`, `a//b`, `a/../b`).
    """
    parts = [part if part.strip(".") else "_" * len(part) for part in FORBIDDEN.sub("_", name).split("/")]
    return "/".join(part for part in parts if part)[:LONGEST_NAME].rstrip("/") or "_"
