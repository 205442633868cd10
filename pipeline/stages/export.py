"""Export: the model as safetensors with its recipe, and as an MLflow model that takes the bytes of a file."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.base.plugins import packages, place
from pipeline.base.redact import redact_values
from pipeline.cluster import tracker
from pipeline.graph.plan import Context, Stage
from pipeline.recipe import Recipe, plain
from pipeline.stages.train import STATISTICS, WEIGHTS
from pipeline.training.model_folder import write_sums
from pipeline.training.statistics import with_statistics

STAGE = Stage(
    name="export",
    version=1,
    run="pipeline.stages.export:run",
    keys=("task", "shard", "clip", "model", "augment.eval", "evaluate"),
    late=("data.channels", "data.bits"),
    inputs=("train",),
)
ROOT = Path(__file__).parents[2]
CODE = ("pipeline", "models", "augment")
TAKEN = (WEIGHTS, "classes.json")
"""What is taken from the training."""
PACKAGES = (
    "albumentations",
    "av",
    "decord",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "psutil",
    "pydantic",
    "pyyaml",
    "safetensors",
    "scipy",
    "torch",
)
"""What predicting imports; written with their versions as the model's requirements."""


def run(context: Context) -> dict[str, Any]:
    """Write `model/` (weights, recipe, classes) and `mlflow-model/`; returns the model's MLflow URI."""
    trained = context.inputs["train"]
    for name in TAKEN:
        trained.whole(name)
    recipe = with_statistics(context.recipe, trained.facts.get(STATISTICS))
    exported = write_model(recipe, trained.path, context.out)
    return {"mlflow_model": tracker.log_model(tracker.resume(context, trained), context, exported)}


def write_model(recipe: Recipe, trained: Path, out: Path) -> Path:
    """Write `model/` and `mlflow-model/` into `out` from what a training left in `trained`; returns the latter."""
    import yaml

    from pipeline.exported.serving import PARAMETERS
    from pipeline.tasks import task_of
    from pipeline.tracking.model import save_model

    folder = out / "model"
    folder.mkdir(exist_ok=True)
    for name in TAKEN:
        shutil.copyfile(trained / name, folder / name)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(redact_values(plain(recipe)), sort_keys=False))
    write_sums(folder)
    exported = out / "mlflow-model"
    shutil.rmtree(exported, ignore_errors=True)  # of an attempt that was killed
    script = ROOT / "pipeline" / "exported" / "mlflow_model.py"
    requirements = [f"{name}=={version(name).partition('+')[0]}" for name in PACKAGES]
    task = task_of(recipe)
    parameters = PARAMETERS | ({"overlay": False} if task.rides else {})
    code = [*(ROOT / name for name in CODE), *map(place, packages(plain(recipe)))]
    save_model(exported, script, {"model": folder}, code, requirements, {**task.columns, "error": "string"}, parameters)
    return exported
