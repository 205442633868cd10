"""`evaluate`: how a trained model is measured, and how the exported one answers."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from pipeline.recipe.section import Fraction, Section

Scale = Annotated[float, Field(ge=0.1, le=4)]
KEYS: dict[str, tuple[str, ...]] = {
    "classes": ("clips", "crops", "average"),
    "mask": ("scales", "flip", "tile", "overlap", "crf"),
    "objects": ("scales", "flip", "tile", "overlap", "threshold", "max_detections"),
    "keypoints": ("scales", "flip", "assembly"),
    "image": ("tile", "overlap", "self_ensemble"),
}
"""Keys that mean something for what models answer; the others mean something for all."""
LEAST_KEPT_PX = 32
"""Tiles begin at multiples of it, so that they fit the strides of networks."""


class Crf(Section):
    """Draw the borders of masks along those of the picture, by a fully connected CRF as after DeepLab v2
    (Kraehenbuehl & Koltun 2011). It runs on the CPU.
    """

    iterations: Annotated[int, Field(ge=1, le=100)] = 10
    """Of mean field."""
    pos_w: NonNegativeFloat = 3.0
    """Weight of neighbours by place alone."""
    pos_xy_std: Annotated[float, Field(gt=0, le=50)] = 1.0
    """How near they are: a standard deviation in pixels."""
    bi_w: NonNegativeFloat = 4.0
    """Weight of neighbours by place and colour."""
    bi_xy_std: Annotated[float, Field(ge=1)] = 67.0
    """How near they are, in pixels."""
    bi_rgb_std: Annotated[float, Field(ge=1)] = 3.0
    """How like in colour, of 0..255."""


class Assembly(Section):
    """How joints are found in maps and put together to bodies, greedily (Cao et al. 2017, "Realtime multi-person 2D
    pose estimation using part affinity fields", section 2.4). The defaults are those of OpenPose's code. It runs on the
    CPU.
    """

    peak: Fraction = 0.1
    """Where a map is highest, and higher than this, is a joint."""
    limb: Fraction = 0.05
    """What the field along a limb has to exceed, at `share` of ten places between two joints."""
    share: Fraction = 0.8
    """Of these places more must exceed it."""
    least_joints: PositiveInt = 4
    """A body with fewer joints is none."""
    least_score: NonNegativeFloat = 0.4
    """Nor is one with a lower score: of joints and limbs together, a joint."""


class Evaluate(Section):
    """How the trained model is measured."""

    late = frozenset(
        {"batch_size", "precision", "average"}.union(
            *(KEYS[kind] for kind in ("mask", "objects", "keypoints", "image"))
        )
    )

    batch_size: PositiveInt | None = None
    """Most samples in a batch, over all workers: of one size, where pictures are measured as large as they are. By
    default that of the training, and 1 where sizes differ."""
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    """Of the forward pass (autocast); by default that of the training. bf16 needs a processor or a GPU that computes in
    it to be quicker, and answers differ in the third digit."""
    clips: PositiveInt = 1
    """Clips a video, spread evenly, each in all `crops`: `clips: 10` and `crops: 3` are 30 views."""
    crops: Literal[1, 3, 5, 10] = 1
    """Crops of the size of the last `CenterCrop` of `augment.eval`, in its place. 3 lie along the longer side; 5 are
    the corners and the centre, 10 these and their mirror images (Krizhevsky et al. 2012, section 4.1)."""
    average: Literal["probabilities", "logits"] = "probabilities"
    """What the mean over a sample's views is of. That of logits is the geometric mean of probabilities, so a view that
    is sure of itself counts for more."""
    scales: Annotated[list[Scale], Field(min_length=1)] = Field(default=[1.0])
    """Of masks, objects and key points: the picture is enlarged by each of these. Probabilities of masks and maps of
    key points are averaged; of objects that are found several times the best answer stays."""
    flip: bool = False
    """Of masks, objects and key points: look at the mirrored picture, too."""
    tile: Annotated[int, Field(ge=64)] | None = None
    """Of masks, objects and images: the side in pixels of the squares in which a picture goes through the model, for
    one that is too large for the memory, or whose objects are too small for the model. A model that looks at the whole
    picture (DeepLab v3, PSPNet, RCAN) then answers otherwise."""
    overlap: Annotated[int, Field(ge=0)] | None = None
    """Of masks: what is seen at each side of a tile and left to its neighbour, in pixels. By default an eighth of the
    tile, and none for a model that does not pad. Of objects: what neighbours share; by default a quarter of the
    tile. Of images: as of masks; by default as far as the model's answer reaches, so that tiles change nothing."""
    self_ensemble: bool = False
    """Of images: the mean over a picture turned by quarters and mirrored, in all eight ways."""
    crf: Crf | None = None
    assembly: Assembly = Assembly()
    """Of key points."""
    threshold: Fraction | dict[str, Fraction] = 0.5
    """Of objects: the least score of what is said of a file, drawn and counted; one number, or a mapping of classes to
    numbers, in which those left out have 0.5. Average precision is of all scores."""
    max_detections: PositiveInt = 100
    """Of objects: the most that are looked for in a picture, the best ones. COCO has 100."""

    @model_validator(mode="after")
    def _something_kept(self) -> "Evaluate":
        if self.overlap is not None and self.tile is None:
            raise ValueError("overlap is between tiles, and there is no tile; set tile, or leave overlap out")
        if self.overlap is not None and self.tile is not None and self.tile < 2 * self.overlap + LEAST_KEPT_PX:
            raise ValueError(
                f"a tile of {self.tile} px with an overlap of {self.overlap} px at each side keeps less than "
                f"{LEAST_KEPT_PX} px; set tile to {2 * self.overlap + LEAST_KEPT_PX} or more, or lower overlap"
            )
        return self
