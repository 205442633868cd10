"""The permutohedral lattice (Adams et al. 2010): a Gaussian filter whose cost is linear in the number of points.

Positions in d dimensions are laid onto the hyperplane of d + 1 whose coordinates sum to 0, which simplices tile. A
value is splatted onto the d + 1 vertices around its point, blurred there along each of the d + 1 axes, and read back
(sliced). Here each of these steps is a sparse matrix.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array, csr_array

from pipeline.base.errors import ZoetropeError


class Lattice:
    """A Gaussian filter between N points at `positions` float [N, d], in units of its standard deviation.

    It approximates the sum over j of exp(-|p_i - p_j|^2 / 2) v_j, the point itself included, but for a factor that is
    the same everywhere: who uses it normalises. ZoetropeError for positions that lie too far apart to be numbered.
    """

    def __init__(self, positions: np.ndarray) -> None:
        n, d = positions.shape
        weights, keys, factors = _surrounding(positions)
        known, first, place = np.unique(keys, return_index=True, return_inverse=True)
        m = len(known)
        # Vertices are numbered in the order of the points: neighbours in the picture then lie near in memory, which
        # makes the blur half as long as in the order of the keys.
        number = np.empty(m, np.int32)
        number[np.argsort(first)] = np.arange(m, dtype=np.int32)
        corners, ends = number[place.reshape(-1)], np.arange(0, n * (d + 1) + 1, d + 1)
        self._slice = csr_array((weights.astype(np.float32).reshape(-1), corners, ends), shape=(n, m))
        self._splat = self._slice.T.tocsr()
        self._blurs = list(_blurs(known, number, factors))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Filter float32 [N, K]."""
        held = self._splat @ values
        for blur in self._blurs:
            held = blur @ held
        return self._slice @ held


def _surrounding(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the vertices around each point (Adams et al. 2010, section 3.1).

    Returns barycentric weights [N, d + 1], the vertices' keys int64 [N, d + 1], and factors [d + 1]: a key is the sum
    of a vertex' coordinates times these, unique among all vertices and their neighbours.
    """
    n, d = positions.shape
    steps = np.arange(1, d + 1)
    # Columns are orthogonal, of sum 0; scaled so that the blur's variance is that of a Gaussian of deviation 1.
    basis = np.triu(np.ones((d + 1, d)))
    basis[steps, steps - 1] = -steps
    high = positions @ (basis * ((d + 1) * np.sqrt(2 / 3) / np.sqrt(steps * (steps + 1)))).T

    # The nearest vertex whose coordinates are multiples of d + 1, and the order of what is left, largest first. Where
    # rounding made the sum another than 0, the coordinates that rounding changed most go one further.
    origin = np.rint(high / (d + 1)).astype(np.int64) * (d + 1)
    rank = (origin - high).argsort(1, kind="stable").argsort(1) + origin.sum(1, keepdims=True) // (d + 1)
    turns = (rank < 0).astype(np.int64) - (rank > d)
    origin += turns * (d + 1)
    rank += turns * (d + 1)

    left = np.take_along_axis((high - origin) / (d + 1), rank.argsort(1), 1)
    weights = np.empty((n, d + 1))
    weights[:, 1:] = (left[:, :-1] - left[:, 1:])[:, ::-1]
    weights[:, 0] = 1 - weights[:, 1:].sum(1)

    spans = [int(span) + 4 * (d + 1) for span in np.ptp(origin[:, :d], axis=0)]
    factors = [1]
    for span in spans[:-1]:
        factors.append(factors[-1] * span)
    if factors[-1] * spans[-1] >= 2**62:
        raise ZoetropeError(
            "evaluate.crf: the standard deviations are too small for a picture of this size; raise evaluate.crf."
            "bi_xy_std or evaluate.crf.bi_rgb_std"
        )
    factor = np.array([*factors, 0])  # the last coordinate follows from the others
    keys = np.empty((n, d + 1), np.int64)
    for k in range(d + 1):
        # Vertex k: the d + 1 - k largest coordinates are k more than the origin's, the others k - (d + 1).
        steps_up = np.where(np.arange(d + 1) <= d - k, k, k - (d + 1))
        keys[:, k] = (origin - origin.min(0) + steps_up[rank]) @ factor
    return weights, keys, factor


def _blurs(known: np.ndarray, number: np.ndarray, factors: np.ndarray) -> Iterator[csr_array]:
    """Make a matrix an axis: each vertex, and a half of its neighbours at both sides, where they are.

    known: keys of all vertices, in order; number: their numbers
    """
    m = len(known)
    for factor in factors:
        neighbours = known + factors.sum() - len(factors) * factor
        at = np.searchsorted(known, neighbours).clip(max=m - 1)
        met = known[at] == neighbours
        one, other = number[met], number[at[met]]
        rows, columns = (np.concatenate(ends) for ends in ((number, one, other), (number, other, one)))
        shares = np.repeat(np.array([1, 0.5], np.float32), [m, 2 * len(one)])
        yield coo_array((shares, (rows, columns)), shape=(m, m)).tocsr()
