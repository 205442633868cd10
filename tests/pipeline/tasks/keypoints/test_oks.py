"""OKS and PCK: known answers, and pycocotools'."""

import math
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.recipe.bodies import BODIES
from pipeline.tasks.detection.assign import UNLABELLED
from pipeline.tasks.detection.match import count_objects
from pipeline.tasks.keypoints.measure import MOST, NAMES, match, numbers
from pipeline.tasks.keypoints.oks import lengths, matched, right_joints, similarities

BODY = BODIES["coco17"]


def truth(keypoints: Any, area: float = 10_000.0) -> dict[str, np.ndarray]:
    points = np.array(keypoints, np.float32)
    count = len(points)
    boxes = np.tile(np.array([0, 0, 100, 100], np.float32), (count, 1))
    return {
        "keypoints": points,
        "boxes": boxes,
        "area": np.full(count, area, np.float32),
        "crowd": np.zeros(count, np.uint8),
        "kind": np.zeros(count, np.int16),
    }


def test_known_similarities() -> None:
    """One joint that is 2 sigma sqrt(area) away is exp(-1/2) alike; of a body without labels the box decides."""
    said = np.zeros((1, 17, 3))
    said[..., 2] = 1
    said[0, 0, :2] = 50 + 2 * 0.026 * 100, 50
    there = truth(np.zeros((1, 17, 3)))
    there["keypoints"][0, 0] = 50, 50, 2
    assert similarities(said, there, BODY.sigmas)[0, 0] == pytest.approx(math.exp(-0.5))
    said[0, 0, 2] = 0  # which is not said
    assert similarities(said, there, BODY.sigmas)[0, 0] == 0
    said[:] = 199, 0, 1
    bare = truth(np.zeros((1, 17, 3)))
    assert similarities(said, bare, BODY.sigmas)[0, 0] == 1.0  # in the box, which is doubled to each side
    said[..., 0] = 1000
    assert similarities(said, bare, BODY.sigmas)[0, 0] < 1e-6


def test_pck_goes_by_the_torso_or_that_of_the_other_side() -> None:
    points = np.zeros((3, 17, 3))
    left, right = BODY.joints.index("left_shoulder"), BODY.joints.index("right_hip")
    points[0, left], points[0, right] = (10, 10, 2), (40, 50, 1)
    points[1, BODY.joints.index("right_shoulder")] = 0, 0, 2
    points[1, BODY.joints.index("left_hip")] = 0, 30, 2
    points[2, 0] = 5, 5, 2
    there = truth(points)
    length = lengths(there, BODY.torso, BODY.mirrored)
    assert length[:2].tolist() == [50, 30]
    assert np.isnan(length[2])
    assert lengths(there, None, BODY.mirrored).tolist() == [100, 100, 100]
    said = np.ones((1, 17, 3))
    said[0, left, :2], said[0, right, :2] = (19.9, 10), (40, 60.1)
    found, labelled = right_joints(said, there, length, np.array([0, -1, -1]))
    assert (found.sum(), labelled.sum()) == (1, 4)
    assert found[left] == 1


def test_each_body_gets_what_is_most_like_it() -> None:
    assert matched(np.array([[0.9, 0.8], [0.7, 0.0], [0.2, 0.3]])).tolist() == [0, 2]
    assert matched(np.zeros((0, 2))).tolist() == [-1, -1]


def random_sets(rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Truths and answers of 12 pictures, as COCO has them: crowds, bodies without labels, and some of each size."""
    true: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    for image in range(12):
        for _ in range(rng.integers(0, 5)):
            side = rng.uniform(20, 180)
            x, y = rng.uniform(0, 400, 2)
            points = np.c_[rng.uniform(0, side, (17, 2)) + np.array([x, y]), rng.integers(0, 3, 17)].round(2)
            points[points[:, 2] == 0] = 0
            points[:] *= rng.uniform() > 0.2
            labelled = int((points[:, 2] > 0).sum())
            crowd = int(rng.uniform() < 0.1)
            true.append(
                {
                    **{"id": len(true) + 1, "image_id": image, "category_id": 1, "iscrowd": crowd},
                    **{"bbox": [x, y, side, side], "area": float(0.6 * side**2), "num_keypoints": labelled},
                    "keypoints": points.ravel().tolist(),
                }
            )
            for _ in range(rng.integers(0, 3)):
                near = np.where(points[:, 2:] > 0, points[:, :2], rng.uniform(0, side, (17, 2)) + np.array([x, y]))
                near = near + rng.normal(0, side * rng.choice([0.01, 0.05, 0.3]), (17, 2))
                numbers_of = np.c_[near, np.ones(17)].ravel().tolist()
                score = float(np.float32(rng.uniform(0.01, 1)))
                said.append({"image_id": image, "category_id": 1, "keypoints": numbers_of, "score": score})
    return true, said


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_pycocotools(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    true, said = random_sets(np.random.default_rng(seed))
    peer = COCO()
    peer.dataset = {"images": [{"id": i} for i in range(12)], "annotations": true, "categories": [{"id": 1}]}
    peer.createIndex()
    measured = COCOeval(peer, peer.loadRes(said), "keypoints")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    capsys.readouterr()
    rows, objects = [], np.zeros((1, 4), np.int64)
    for image in range(12):
        there = [one for one in true if one["image_id"] == image]
        fields = truth(np.reshape([one["keypoints"] for one in there], (-1, 17, 3)))
        box = np.reshape([one["bbox"] for one in there], (-1, 4))
        fields["boxes"] = np.c_[box[:, :2], box[:, :2] + box[:, 2:]]
        fields["area"] = np.array([one["area"] for one in there], np.float64)
        bare = np.array([one["num_keypoints"] == 0 for one in there], bool)
        crowd = np.array([one["iscrowd"] for one in there], bool)
        fields["crowd"] = np.where(crowd, 1, np.where(bare, UNLABELLED, 0)).astype(np.uint8)
        # The best 20 by score, as they would come.
        best = sorted((one for one in said if one["image_id"] == image), key=lambda one: -one["score"])[:MOST]
        points = np.zeros((MOST, 17, 3))
        points[: len(best)] = np.reshape([one["keypoints"] for one in best], (-1, 17, 3))
        scores = np.array([one["score"] for one in best] + [0.0] * (MOST - len(best)))
        rows.append(match({"keypoints": points, "score": scores}, fields, BODY))
        objects += count_objects(fields, 1)
    ours = numbers({name: np.stack([row[name] for row in rows]) for name in rows[0]}, objects)
    for name, peers in zip(NAMES, measured.stats, strict=False):
        assert ours[name] == pytest.approx(max(peers, 0), abs=1e-9), name
