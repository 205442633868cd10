"""Export: the model as safetensors with its recipe, and as an MLflow model that takes the bytes of a file."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.graph import Context, Stage
from pipeline.redact import redact_values
from pipeline.stages import tracker
from pipeline.stages.train import WEIGHTS

STAGE = Stage(
    name="export",
    version=1,
    run="pipeline.stages.export:run",
    keys=("task", "shard", "clip", "model", "augment.eval", "evaluate"),
    inputs=("train",),
)
CODE = ("pipeline", "models", "augment")
PACKAGES = (
    "albumentations",
    "av",
    "decord",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "torch",
)
"""What predicting imports; written with their versions as the model's requirements."""


def run(context: Context) -> dict[str, Any]:
    """Write `model/` (weights, recipe, classes) and `mlflow-model/`; returns the model's MLflow URI."""
    import yaml

    from pipeline.recipe import plain
    from pipeline.tracking import model as mlflow_model

    trained = context.inputs["train"]
    folder = context.out / "model"
    folder.mkdir(exist_ok=True)
    for name in (WEIGHTS, "classes.json"):
        shutil.copyfile(trained.file(name), folder / name)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(redact_values(plain(context.recipe)), sort_keys=False))

    root = Path(__file__).parents[2]
    exported = context.out / "mlflow-model"
    shutil.rmtree(exported, ignore_errors=True)
    script = root / "pipeline" / "mlflow_model.py"
    requirements = [f"{name}=={version(name).partition('+')[0]}" for name in PACKAGES]
    mlflow_model.save_model(exported, script, {"model": folder}, [root / name for name in CODE], requirements)
    run_id = tracker.open_run(context, trained.facts["mlflow_run_id"])
    uri = mlflow_model.log_model(context.services.tracking, run_id, context.recipe.name, exported) if run_id else None
    return {"mlflow_model": uri}
