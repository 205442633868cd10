"""How the charts of an experiment stand at first: validation, training, learning rate, speed, then all others.

MLflow orders them by the alphabet, with memory before val. Its pages can be shared as somebody has arranged them: such
a view is a tag of the experiment, and its name stands in the address.
"""

import json
from contextlib import suppress

from pipeline.tracking.address import VIEW, Tracking
from pipeline.tracking.client import client

TAG = f"mlflow.sharedViewState.{VIEW}"
FIRST = ("val", "train", "Model metrics", "throughput")
"""What names of metrics begin with, and what MLflow calls those without a beginning, such as `lr`.

Sections that every training fills: an empty one would be shown, too. MLflow adds the others behind.
"""


def set_view(tracking: Tracking, experiment_id: str) -> None:
    """Give the experiment our view of its charts, unless it has one. What MLflow refuses is left out."""
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):
        if TAG not in client(tracking).get_experiment(experiment_id).tags:
            client(tracking).set_experiment_tag(experiment_id, TAG, json.dumps(_state()))


def _state() -> dict[str, object]:
    """Return what MLflow's page keeps of its charts; it makes those that are missing by itself."""
    sections = [{"uuid": f"{VIEW}-{name}", "name": name, "display": True, "isReordered": False} for name in FIRST]
    return {"compareRunSections": sections, "compareRunCharts": [], "isAccordionReordered": True}
