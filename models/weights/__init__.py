"""Official weights: read from a file, the web or the hub, recognised by their names, made to fit, and accounted for."""

from models.weights.load import check_shapes, check_weights, load_weights
from models.weights.match import LoadedWeights
from models.weights.read import file_here, local_file

__all__ = ["LoadedWeights", "check_shapes", "check_weights", "file_here", "load_weights", "local_file"]
