"""How bodies are found in pictures: maps of one look or of several, at other scales and mirrored, and bodies of
these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, pad

from pipeline.recipe.bodies import Skeleton
from pipeline.tasks.keypoints.assemble import Constants, assemble, highest

if TYPE_CHECKING:
    from pipeline.recipe.evaluate import Evaluate

Maps = dict[str, Tensor]
"""`heat` float [n, S, J + 1, h, w] of S stages and, where there are any, `limbs` float [n, S, 2 L, h, w]."""
Look = Callable[[Tensor], Maps]
"""Of pixels float [n, 3, H, W] as the model gets them."""


@dataclass(frozen=True)
class Options:
    """How `find` does it."""

    scales: Sequence[float] = (1.0,)
    flip: bool = False

    @classmethod
    def of(cls, how: "Evaluate | None") -> "Options":
        """Make them of a recipe's `evaluate`; None looks once."""
        return cls() if how is None else cls(how.scales, how.flip)

    @property
    def plain(self) -> bool:
        """Whether the model looks once."""
        return tuple(self.scales) == (1.0,) and not self.flip


def maps_of(look: Look, x: Tensor, stride: int, body: Skeleton, options: Options) -> Maps:
    """Average the last stage's maps of pictures [n, 3, H, W] over scales and mirror images, as large as those of one
    plain look; of that alone return all stages.

    Pictures are filled up on the right and below to whole places, with 0, which is the mean colour.
    """
    if options.plain:
        return look(_whole(x, stride))
    base = [-(-side // stride) for side in x.shape[2:]]
    total: Maps = {}
    for scale in options.scales:
        size = [max(1, round(side * scale)) for side in x.shape[2:]]
        scaled = x if scale == 1 else interpolate(x, size, mode="bilinear", align_corners=False, antialias=scale < 1)
        scaled = _whole(scaled, stride)
        looks = [look(scaled)]
        if options.flip:
            looks.append(mirrored(look(scaled.flip(3)), body))
        for one in looks:
            for name, maps in one.items():
                at = _resampled(maps[:, -1], base, [stride * size[i] / x.shape[2 + i] for i in (0, 1)], stride)[:, None]
                total[name] = total[name] + at if name in total else at
    number = len(options.scales) * (1 + options.flip)
    return {name: maps / number for name, maps in total.items()}


def mirrored(maps: Maps, body: Skeleton) -> Maps:
    """Return the maps of pictures of those of their mirror images: left and right are swapped, and x of fields
    turned.
    """
    joints = len(body.joints)
    found = {"heat": maps["heat"].flip(4)[:, :, [*body.mirrored, *range(joints, maps["heat"].shape[2])]]}
    if "limbs" in maps:
        pairs = body.mirrored_limbs()
        assert pairs is not None  # said by the recipe
        fields = maps["limbs"].flip(4).unflatten(2, (-1, 2))[:, :, [number for number, _ in pairs]]
        signs = fields.new_tensor([[-sign, sign] for _, sign in pairs])
        found["limbs"] = (fields * signs[:, :, None, None]).flatten(2, 3)
    return found


def find(maps: Mapping[str, Tensor], stride: int, body: Skeleton, how: Constants, most: int) -> dict[str, Tensor]:
    """Find bodies by maps: keypoints float [n, most, J, 3] in px, and score [n, most], 0 in empty places.

    Without affinity fields each picture has one body.
    """
    joints = len(body.joints)
    heat = maps["heat"].float().cpu().numpy()
    limbs = maps["limbs"].float().cpu().numpy() if "limbs" in maps else None
    points, scores = np.zeros((len(heat), most, joints, 3), np.float32), np.zeros((len(heat), most), np.float32)
    for i, one in enumerate(heat):
        if limbs is None:
            said, score = highest(one, joints, stride)
        else:
            said, score = assemble(one, limbs[i], stride, joints, body.limbs, body.order, how)
        count = min(len(said), most)
        points[i, :count], scores[i, :count] = said[:count], score[:count]
    return {"keypoints": torch.from_numpy(points), "score": torch.from_numpy(scores)}


def restored(keypoints: Tensor, frame: Tensor, size: Sequence[int], body: Skeleton) -> Tensor:
    """Bring key points [n, D, J, 3] of a view back to its file of `size` (H, W) px, by its frame float [2, 3].

    What a mirror swapped is swapped back. What lies outside of the file goes to its border.
    """
    linear = frame[:, :2].double()
    places = (keypoints[..., :2].double() - frame[:, 2].double()) @ linear.inverse().T
    places = torch.minimum(places.clamp(min=0), places.new_tensor([size[1], size[0]]))
    seen = (keypoints[..., 2:] > 0).double()
    found = torch.cat([places * seen, keypoints[..., 2:].double()], -1).to(keypoints.dtype)
    return found[:, :, list(body.mirrored)] if torch.linalg.det(linear) < 0 else found


def _whole(x: Tensor, stride: int) -> Tensor:
    """Fill pictures up on the right and below, so that sides are multiples of `stride` px."""
    down, across = (-side % stride for side in x.shape[2:])
    return pad(x, (0, across, 0, down)) if down or across else x


def _resampled(maps: Tensor, base: Sequence[int], steps: Sequence[float], stride: int) -> Tensor:
    """Read maps of pictures of another size where `base` places are, which are `steps` px of them apart (down,
    across).
    """
    height, width = maps.shape[2:]
    if (height, width) == tuple(base) and tuple(steps) == (stride, stride):
        return maps
    rows, columns = (
        (torch.arange(count, device=maps.device) + 0.5) * step / (there * stride) * 2 - 1
        for count, step, there in zip(base, steps, (height, width), strict=True)
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).to(maps.dtype)
    return grid_sample(maps, grid.expand(len(maps), -1, -1, -1), padding_mode="border", align_corners=False)
