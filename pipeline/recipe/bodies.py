"""What a body is: its joints and limbs, which of them a mirror swaps, and how exactly people place them. All of it
data.

J joints, L limbs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pipeline.base.errors import unknown
from pipeline.recipe.section import Section

Pair = tuple[int, int]
SIGMA = 0.072
"""Of a joint of a body of one's own: that of COCO's elbows."""
LEFT, RIGHT = "left_", "right_"


@dataclass(frozen=True)
class Skeleton:
    """A body, by the numbers of its joints.

    limbs:    pairs of joints, in the order of the channels of a model's affinity fields
    mirrored: of each joint the one that it becomes in a mirror
    sigmas:   of each joint the standard deviation of people's clicks, as a share of the object's size, the square root
              of its area (COCO's OKS has 2 sigma); 0 is not measured
    torso:    two joints whose distance is the length that PCK goes by; None: the longer side of the box
    order:    in which limbs are put together to bodies
    between:  joints that are the middle of two others where a source has not them itself
    """

    joints: tuple[str, ...]
    limbs: tuple[Pair, ...]
    mirrored: tuple[int, ...]
    sigmas: tuple[float, ...]
    torso: Pair | None
    order: tuple[int, ...]
    between: Mapping[str, tuple[str, str]]

    @property
    def reference(self) -> str:
        """The length that PCK goes by, in words."""
        if self.torso is None:
            return "the longer side of the box"
        return f"the distance from {' to '.join(self.joints[joint] for joint in self.torso)}"

    def mirrored_limbs(self) -> list[tuple[int, int]] | None:
        """Return of each limb which one it becomes in a mirror, and 1, or -1 where that one runs the other way.

        None for a body one of whose limbs becomes none.
        """
        found = []
        for a, b in self.limbs:
            there = self.mirrored[a], self.mirrored[b]
            if there in self.limbs:
                found.append((self.limbs.index(there), 1))
            elif there[::-1] in self.limbs:
                found.append((self.limbs.index(there[::-1]), -1))
            else:
                return None
        return found


BETWEEN = {
    "neck": ("left_shoulder", "right_shoulder"),
    "thorax": ("left_shoulder", "right_shoulder"),
    "pelvis": ("left_hip", "right_hip"),
}
"""Joints that a source may lack: the middle of two others."""


def _skeleton(
    joints: Sequence[str],
    limbs: Sequence[tuple[str, str]],
    sigmas: Sequence[float],
    torso: tuple[str, str] | None,
    swaps: Sequence[tuple[str, str]] | None = None,
    order: Sequence[int] | None = None,
) -> Skeleton:
    number = {name: i for i, name in enumerate(joints)}
    if swaps is None:
        swaps = [(name, RIGHT + name.removeprefix(LEFT)) for name in joints if name.startswith(LEFT)]
    mirror = dict(pair for a, b in swaps if a in number and b in number for pair in ((a, b), (b, a)))
    return Skeleton(
        tuple(joints),
        tuple((number[a], number[b]) for a, b in limbs),
        tuple(number[mirror.get(name, name)] for name in joints),
        tuple(sigmas),
        None if torso is None else (number[torso[0]], number[torso[1]]),
        tuple(range(len(limbs)) if order is None else order),
        {name: pair for name, pair in BETWEEN.items() if name in number},
    )


class Body(Section):
    """A body of one's own."""

    joints: Annotated[list[str], Field(min_length=1, max_length=256)]
    """Their names, in the order of the source's numbers."""
    limbs: list[tuple[str, str]] = Field(default=[])
    """Pairs of joints. Where pictures show several bodies, limbs put their joints together, so all joints hang together
    by them."""
    swaps: list[tuple[str, str]] | None = None
    """Pairs that a mirror swaps. By default those called `left_...` and `right_...`."""
    sigmas: list[Annotated[float, Field(ge=0, le=1)]] | None = None
    """How exactly people place each joint, for OKS: a standard deviation as a share of the square root of the object's
    area; 0: not measured. By default 0.072 each, that of COCO's elbows."""
    torso: tuple[str, str] | None = None
    """Two joints whose distance is the length that PCK goes by. By default the longer side of the box."""

    @field_validator("joints")
    @classmethod
    def _each_once(cls, joints: list[str]) -> list[str]:
        if twice := sorted({name for name in joints if joints.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} stands there twice")
        return joints

    @model_validator(mode="after")
    def _known(self) -> "Body":
        for key, pairs in (("limbs", self.limbs), ("swaps", self.swaps or []), ("torso", [self.torso or ()])):
            for name in (name for pair in pairs for name in pair):
                if name not in self.joints:
                    raise ValueError(f"{key}: {unknown('joint', name, self.joints)}")
        if self.sigmas is not None and len(self.sigmas) != len(self.joints):
            raise ValueError(f"sigmas: there are {len(self.sigmas)}, and {len(self.joints)} joints")
        return self


def _limbs(said: str) -> list[tuple[str, str]]:
    """Read limbs: chains of joints, a chain a line or behind a comma; of two sides where a line begins with "*"."""
    found: list[tuple[str, str]] = []
    for chain in said.replace("\n", ",").split(","):
        joints = chain.split()
        for side in (RIGHT, LEFT) if joints and joints[0] == "*" else ("",):
            named = [joint.replace("*", side, 1) if joint != "*" else "" for joint in joints]
            named = [joint for joint in named if joint]
            found += list(pairwise(named))
    return found


def _sides(said: str) -> tuple[str, ...]:
    """Return names; `*hip` stands for that of both sides, the left one first."""
    return tuple(
        one.replace("*", side) for one in said.split() for side in ((LEFT, RIGHT) if one.startswith("*") else ("",))
    )


# cocodataset/cocoapi: PythonAPI/pycocotools/cocoeval.py. It has no neck, head top, thorax and pelvis: a neck is placed
# as shoulders are, a pelvis as hips, and a head's top as ears.
_SIGMAS = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107},
    **{"knee": 0.087, "ankle": 0.089, "neck": 0.079, "thorax": 0.079, "pelvis": 0.107, "head_top": 0.035},
}


def _sigmas(joints: Sequence[str], unmeasured: Sequence[str] = ()) -> list[float]:
    plain = [joint.removeprefix(LEFT).removeprefix(RIGHT) for joint in joints]
    return [0.0 if name in unmeasured else _SIGMAS[name] for name in plain]


_TORSO = ("left_shoulder", "right_hip")
_COCO17 = _sides("nose *eye *ear *shoulder *elbow *wrist *hip *knee *ankle")
_COCO18 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
# In the order of the channels of CMU's pose_iter_440000.caffemodel, and the order in which its demo goes through them.
_COCO18_LIMBS = [
    (_COCO18[a], _COCO18[b])
    for a, b in (
        *((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16), (1, 5), (5, 6)),
        *((6, 7), (5, 17), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17)),
    )
]
_COCO18_ORDER = (6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13)
_ARMS_AND_LEGS = "* *shoulder *elbow *wrist, * *hip *knee *ankle"
_LSP14 = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow"),
    *("right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top"),
)
_MPII16 = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax"),
    *("neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow"),
    "left_wrist",
)
_FINGERS = ("thumb", "index", "middle", "ring", "little")
_HAND21 = ("wrist", *(f"{finger}_{joint}" for finger in _FINGERS for joint in range(1, 5)))
# COCO-WholeBody's of hands (jin-s13/COCO-WholeBody: evaluation/myeval_wholebody.py).
_HAND_SIGMAS = (
    *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021),
    *(0.032, 0.02, 0.019, 0.022, 0.031),
)

BODIES: dict[str, Skeleton] = {
    # Limbs make a tree from the nose; the four beside the face hold what is seen of a head from its side.
    "coco17": _skeleton(
        _COCO17,
        _limbs(f"* nose *eye *ear, * nose *shoulder, {_ARMS_AND_LEGS}, * *shoulder *hip, * *ear *shoulder"),
        _sigmas(_COCO17),
        _TORSO,
    ),
    "coco18": _skeleton(_COCO18, _COCO18_LIMBS, _sigmas(_COCO18, ["neck"]), _TORSO, order=_COCO18_ORDER),
    "lsp14": _skeleton(
        _LSP14,
        _limbs(f"neck head_top, * neck *shoulder, * neck *hip, {_ARMS_AND_LEGS}"),
        _sigmas(_LSP14),
        _TORSO,
    ),
    "mpii16": _skeleton(
        _MPII16,
        _limbs(f"thorax neck head_top, thorax pelvis, * thorax *shoulder, * pelvis *hip, {_ARMS_AND_LEGS}"),
        _sigmas(_MPII16),
        _TORSO,
    ),
    "hand21": _skeleton(
        _HAND21,
        _limbs(",".join(f"wrist {finger}_1 {finger}_2 {finger}_3 {finger}_4" for finger in _FINGERS)),
        _HAND_SIGMAS,
        None,
    ),
}
"""By name. MPII's `upper_neck` is called neck here."""


def skeleton_of(body: str | Body) -> Skeleton:
    """Return the body that a recipe names or describes."""
    if isinstance(body, str):
        return BODIES[body]
    sigmas = body.sigmas or [SIGMA] * len(body.joints)
    return _skeleton(body.joints, body.limbs, sigmas, body.torso, body.swaps)
