"""Key points that need no download: stick figures on photographs, with the fourteen joints of Leeds Sports Pose.

A picture is a crop of one of scikit-learn's two sample photographs, darkened, with one to three bright figures on it.
Each looks at the viewer, so its right side is on the left, and stands, bends its arms and knees and leans as is drawn;
a shape's colours say nothing of sides. Training and validation draw other figures.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.keyed import generator
from pipeline.decode.image import encode_jpeg
from pipeline.recipe.bodies import BODIES
from pipeline.sources.joints import box_around
from pipeline.sources.scenes import LIGHT, crop

MOST = 3
HEIGHTS = (0.3, 0.6)
"""Of a figure, as shares of the picture's side."""
FINER = 4
"""Bits of cv2's coordinates behind the point."""
TRIALS = 8
"""Places that are tried for a figure."""
LSP = BODIES["lsp14"]
Points = npt.NDArray[np.float64]


def draw_figures(folder: Path, numbers: range, size_px: int) -> None:
    """Write picture i as `images/<i>.jpg` and its figures as `labels/<i>.txt`, as YOLO has key points."""
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i in numbers:
        rng = generator("stick-figures", i)
        pixels = (crop(photographs[rng.integers(len(photographs))], size_px, rng) * LIGHT).astype(np.uint8)
        taken: list[tuple[float, float, float, float]] = []
        lines = []
        for _ in range(rng.integers(1, MOST + 1)):
            drawn = figure(rng) * rng.uniform(*HEIGHTS) * size_px
            for _ in range(TRIALS):
                free = np.maximum(size_px - 2 - np.ptp(drawn, axis=0), 0)
                points = drawn - drawn.min(0) + 1 + rng.uniform(0, 1, 2) * free
                box = box_around(np.c_[points, np.full(len(points), 2)].ravel().tolist())
                assert box is not None
                if any(_overlap(box, other) for other in taken) or (points > size_px - 1).any():
                    continue
                taken.append(box)
                paint(pixels, points, rng)
                lines.append(_line(points / size_px, np.clip(box, 0, size_px) / size_px))
                break
        (folder / "images" / f"{i:05d}.jpg").write_bytes(encode_jpeg(pixels, quality=95))
        (folder / "labels" / f"{i:05d}.txt").write_text("".join(lines))


def figure(rng: np.random.Generator) -> Points:
    """Draw the joints of a figure about 1 high, float [14, 2], y down."""

    def towards(length: float, degrees: float) -> Points:
        """Go down by an angle, which counts to the right of the picture."""
        return length * np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])

    at = {"neck": np.zeros(2)}
    lean = rng.uniform(-15, 15)
    at["head_top"] = at["neck"] - towards(0.2, lean + rng.uniform(-10, 10))
    hips = at["neck"] + towards(0.32, lean)
    for side, sign in (("right", -1), ("left", 1)):  # as it looks at us
        across = towards(1.0, lean + 90) * sign
        at[f"{side}_shoulder"] = at["neck"] + 0.1 * across + towards(0.03, lean)
        at[f"{side}_hip"] = hips + 0.07 * across
        arm = sign * rng.uniform(5, 120)
        at[f"{side}_elbow"] = at[f"{side}_shoulder"] + towards(0.16, lean + arm)
        at[f"{side}_wrist"] = at[f"{side}_elbow"] + towards(0.15, lean + arm + sign * rng.uniform(-20, 80))
        leg = sign * rng.uniform(-5, 40)
        at[f"{side}_knee"] = at[f"{side}_hip"] + towards(0.23, lean + leg)
        at[f"{side}_ankle"] = at[f"{side}_knee"] + towards(0.22, lean + leg - sign * rng.uniform(-5, 50))
    return np.stack([at[joint] for joint in LSP.joints])


def paint(pixels: npt.NDArray[np.uint8], points: Points, rng: np.random.Generator) -> None:
    """Paint a figure, in place: limbs as lines, the head as a disc."""
    colour = [int(level) for level in rng.integers(150, 256, 3)]
    width = max(2, round(np.ptp(points, axis=0).max() / 28))
    place = dict(zip(LSP.joints, points, strict=True))
    middle = (place["neck"] + place["head_top"]) / 2
    radius = 0.42 * float(np.linalg.norm(place["neck"] - place["head_top"]))
    for a, b in LSP.limbs:
        cv2.line(pixels, _fixed(points[a]), _fixed(points[b]), colour, width, cv2.LINE_AA, FINER)
    cv2.circle(pixels, _fixed(middle), round(radius * (1 << FINER)), colour, -1, cv2.LINE_AA, FINER)


def _fixed(point: Points) -> tuple[int, int]:
    """Return a point for cv2, which counts from the middle of the first pixel."""
    x, y = ((point - 0.5) * (1 << FINER)).round().astype(int).tolist()
    return x, y


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _line(points: Points, box: Points) -> str:
    """Write a figure's line, of shares of the picture."""
    x0, y0, x1, y1 = box.tolist()
    numbers = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]
    joints = [f"{x:.6f} {y:.6f} 2" for x, y in points.tolist()]
    return " ".join(["0", *(f"{number:.6f}" for number in numbers), *joints]) + "\n"
