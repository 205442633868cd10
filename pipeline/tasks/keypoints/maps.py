"""The maps that a model of key points learns, rendered of the key points where they are needed, and its loss.

After Cao et al. 2017, "Realtime multi-person 2D pose estimation using part affinity fields", sections 2.2 and 2.3. n
pictures, C bodies, J joints, L limbs; maps have a place every `stride` px, in the middle of its px.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.tasks.keypoints.fields import CELL_PX

if TYPE_CHECKING:
    from pipeline.tasks.base import Fields

FLATTEST = 1e-6


def places(count: int, stride: float, like: Tensor) -> Tensor:
    """Return where the places of a map lie along a side, in px: float [count]."""
    return (torch.arange(count, device=like.device, dtype=torch.float32) + 0.5) * stride


def heat_maps(keypoints: Tensor, size: Sequence[int], stride: float, sigma_px: float) -> Tensor:
    """Render joints float [n, C, J, 3]: float [n, J + 1, h, w], of which the last is the background (eq. 6 and 7).

    Bodies are joined by the maximum, so that peaks that are close stay apart.
    """
    x, y = places(size[1], stride, keypoints), places(size[0], stride, keypoints)
    seen = (keypoints[..., 2] > 0)[..., None]
    across = torch.exp(-((x - keypoints[..., :1]) ** 2) / (2 * sigma_px**2)) * seen
    down = torch.exp(-((y - keypoints[..., 1:2]) ** 2) / (2 * sigma_px**2))
    heat = keypoints.new_zeros((len(keypoints), keypoints.shape[2], *size))
    for body in range(keypoints.shape[1]):
        heat = heat.maximum(down[:, body, :, :, None] * across[:, body, :, None, :])
    return torch.cat([heat, 1 - heat.amax(1, keepdim=True)], 1)


def affinity_fields(
    keypoints: Tensor, pairs: Sequence[tuple[int, int]], size: Sequence[int], stride: float, limb_px: float
) -> Tensor:
    """Render limbs: float [n, 2 L, h, w], x and y of a unit vector along each limb in the places near its line (eq. 8).

    Where limbs of several bodies meet it is the mean of their vectors (eq. 9).
    """
    x, y = places(size[1], stride, keypoints), places(size[0], stride, keypoints)[:, None]
    first, second = (keypoints[:, :, [pair[end] for pair in pairs]] for end in (0, 1))
    seen = (first[..., 2] > 0) & (second[..., 2] > 0)
    way = second[..., :2] - first[..., :2]
    length = way.norm(dim=-1)
    unit = way / length.clamp(min=FLATTEST)[..., None]
    total = keypoints.new_zeros((len(keypoints), len(pairs), 2, *size))
    count = keypoints.new_zeros((len(keypoints), len(pairs), *size))
    for body in range(keypoints.shape[1]):
        (from_x, from_y), (unit_x, unit_y) = (one[:, body, :, :2].unbind(-1) for one in (first, unit))
        right, below = (x - from_x[..., None, None]), (y - from_y[..., None, None])
        along = right * unit_x[..., None, None] + below * unit_y[..., None, None]
        beside = (below * unit_x[..., None, None] - right * unit_y[..., None, None]).abs()
        near = (along >= 0) & (along <= length[:, body, :, None, None]) & (beside <= limb_px)
        near &= seen[:, body, :, None, None]
        total += near[:, :, None] * unit[:, body, :, :, None, None]
        count += near
    return (total / count.clamp(min=1)[:, :, None]).flatten(1, 2)


def known(unknown: Tensor, size: Sequence[int], stride: int) -> Tensor:
    """Tell which places of a map may be learned, float [n, h, w], of `unknown` as fields have it."""
    rows, columns = (
        ((torch.arange(count, device=unknown.device) * stride + stride // 2) // CELL_PX).clamp(max=there - 1)
        for count, there in zip(size, unknown.shape[1:], strict=True)
    )
    return 1.0 - unknown[:, rows][:, :, columns].float()


def losses(
    out: Mapping[str, Tensor],
    fields: "Fields",
    pairs: Sequence[tuple[int, int]],
    stride: int,
    sigma_px: float,
    limb_px: float,
    peak_weight: float = 0.0,
) -> dict[str, Tensor]:
    """Compute each picture's parts of the loss, float [n] by name: half the squared differences of all stages (eq. 5),
    summed over maps and places, as Caffe's Euclidean loss. Bodies that do not count are no truth.
    """
    size = out["heat"].shape[-2:]
    counted = ((fields["kind"] >= 0) & (fields["crowd"] == 0))[..., None, None]
    keypoints = (fields["keypoints"] * counted)[:, : most_bodies(fields)]
    wanted = {"heat": heat_maps(keypoints, size, stride, sigma_px)}
    if "limbs" in out:
        wanted["limbs"] = affinity_fields(keypoints, pairs, size, stride, limb_px)
    there = known(fields["unknown"], size, stride)[:, None, None]
    counts = dict.fromkeys(wanted, there)
    if peak_weight:
        peaks = torch.cat([wanted["heat"][:, :-1], torch.zeros_like(wanted["heat"][:, :1])], 1)
        counts["heat"] = there * (1 + peak_weight * peaks[:, None])
    return {
        name: 0.5 * ((out[name].float() - maps[:, None]) ** 2 * counts[name]).flatten(1).sum(1)
        for name, maps in wanted.items()
    }


def most_bodies(fields: "Fields") -> int:
    """Return how many places of bodies are used in a batch, at least 1."""
    used = (fields["kind"] >= 0).any(0).nonzero()
    return int(used.max()) + 1 if len(used) else 1
