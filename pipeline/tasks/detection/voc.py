"""PASCAL VOC's average precision at an IoU above one half: of 2007 at eleven recalls, of 2010 and later as an area.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2, and the development kit of
2012.
"""

import numpy as np

from pipeline.tasks.detection.match import Rows
from pipeline.tasks.detection.precision import UNKNOWN, class_orders, precision_at_hits

ELEVEN = np.arange(0.0, 1.1, 0.1)


def average_precision(rows: Rows, objects: np.ndarray) -> np.ndarray:
    """Compute both of each class, float64 [2, K], UNKNOWN without objects; `objects` that count, int [K, A]."""
    values = np.full((2, len(objects)), UNKNOWN)
    judged = rows["voc"].ravel()
    orders = class_orders(rows["kind"], rows["score"], len(objects))
    for k in np.flatnonzero(objects[:, 0]):
        said = judged[orders[k]]
        curve = precision_at_hits(said == 1, said != 2)
        recall = np.arange(1, len(curve) + 1) / objects[k, 0]
        places = np.searchsorted(recall, ELEVEN)
        values[0, k] = np.append(curve, 0.0)[places].mean()
        values[1, k] = (curve / objects[k, 0]).sum()
    return values
