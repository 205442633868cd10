"""Official weights: read from a file, the web or the hub, recognised by their names, made to fit, and accounted for."""

from models.weights.load import load_weights
from models.weights.match import LoadedWeights
from models.weights.read import local_file

__all__ = ["LoadedWeights", "load_weights", "local_file"]
