"""Where weights are: `place#entry`. Nothing here imports torch, for a plan asks too."""

from pathlib import Path

from pipeline.base.errors import ZoetropeError

FILE = "model.safetensors"
SUFFIXES = (".safetensors", ".pth", ".pt", ".pyth", ".tar", ".ckpt", ".bin", ".pkl", ".pickle")
"""Of files of weights."""
WITHIN = ("", "model", "artifacts/model")
"""Where an exported model is in a folder that may be named: itself, an export artifact, or an MLflow model."""


def is_name(weights: str) -> bool:
    """Tell whether weights are called by a name, as official ones or those of a run are, and not by their place."""
    return not any(sign in weights for sign in "/#") and not weights.lower().endswith(SUFFIXES)


def locate(weights: str) -> tuple[str, str]:
    """Return the URL, hub id or file of weights, and the entry in it that `#` names, as in `w.pth#state_dict_ema`; else
    "".

    The folder of an exported model stands for the weights in it; ZoetropeError for another folder.
    """
    place, entry = weights, ""
    if "#" in weights and ("://" in weights or not Path(weights).exists()):
        place, _, entry = weights.rpartition("#")
    if "://" in place or not Path(place).is_dir():
        return place, entry
    found = next((file for name in WITHIN if (file := Path(place) / name / FILE).is_file()), None)
    if found is None:
        raise ZoetropeError(f"model.weights: the folder {place} holds no {FILE}; give the path of a file of weights")
    return str(found), entry
